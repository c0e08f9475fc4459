/* SPDX-License-Identifier: Apache-2.0
 *
 * What the embedded store is asked, executed: transactions and read snapshots, in
 * the thread of the caller. When, and which writes share a transaction, is said by
 * store_sqlite.c with threads, and by store_sqlite_stepped.c with none.
 */
#include "store_sqlite.h"

#include <assert.h>

struct rpc_status sqlite_runner_open(struct sqlite_runner *runner, const char *file, bool create,
                                     const struct store_options *options)
{
    *runner = (struct sqlite_runner){.options = *options, .hasher = record_hasher_new()};
    if (runner->hasher == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "open the store: out of memory");
    struct rpc_status status = sqlite_conn_open(&runner->writer, file, create);
    return rpc_ok(&status) ? sqlite_migrate(&runner->writer) : status;
}

void sqlite_runner_deinit(struct sqlite_runner *runner)
{
    sqlite_conn_close(&runner->writer);
    record_hasher_free(runner->hasher);
}

/* ---- Writes -------------------------------------------------------------- */

static int run_other_write(struct sqlite_runner *self, struct store_request *request)
{
    const struct scope_roles *roles = &self->options.roles;

    switch (request->kind) {
    case STORE_CAUGHT_UP:
        return sqlite_caught_up(&self->writer, (struct store_caught_up *)request);
    case STORE_ENROL:
        return sqlite_enrol(&self->writer, roles, (struct store_enrol *)request);
    case STORE_RECERTIFY:
        return sqlite_recertify(&self->writer, (struct store_recertify *)request);
    case STORE_CODE_ADD:
        return sqlite_code_add(&self->writer, roles, (struct store_code_add *)request);
    case STORE_DEVICE_ADD:
        return sqlite_device_add(&self->writer, (struct store_device_add *)request);
    case STORE_DEVICE_CHANGE:
        return sqlite_device_change(&self->writer, roles, (struct store_device_change *)request);
    case STORE_SETTING_SET:
        return sqlite_setting_set(&self->writer, roles, (struct store_setting_set *)request);
    case STORE_ROLLOUT_CHANGE:
        return sqlite_rollout_change(&self->writer, roles, (struct store_rollout_change *)request);
    case STORE_ROLLOUT_REVIEW:
        return sqlite_rollout_review(&self->writer, (struct store_rollout_review *)request);
    case STORE_SYNC_NOTE:
        return sqlite_sync_note(&self->writer, (struct store_sync_note *)request);
    case STORE_QUARANTINE_RETRY:
        return sqlite_quarantine_retry(&self->writer, roles, self->hasher,
                                       (struct store_quarantine_retry *)request);
    case STORE_QUARANTINE_DISCARD:
        return sqlite_quarantine_discard(&self->writer, (struct store_quarantine_discard *)request);
    case STORE_CONFLICT_RESOLVE:
        return sqlite_conflict_resolve(&self->writer, (struct store_conflict_resolve *)request);
    default:
        assert(!"not a write");
        return SQLITE_MISUSE;
    }
}

static int run_push(struct sqlite_runner *self, struct push_set *set, struct store_push *push)
{
    const struct scope_device *author = &push->batch->device;
    struct store_caller caller = {author->device_id, author->region};
    int code = sqlite_read_refusal(&self->writer, &caller, &push->refusal);

    if (code != SQLITE_OK || push->refusal.why != STANDING_ADMITTED)
        return code;
    code = sqlite_push_load(&self->writer, set, push->batch);
    if (code != SQLITE_OK)
        return code;
    return push_decide(set, push->batch) ? SQLITE_OK : SQLITE_NOMEM;
}

/* All requests in one transaction: pushes are decided over one set, which is
 * written before anything else of the group reads. */
static int run_transaction(struct sqlite_runner *self, struct push_set *set,
                           struct store_request *const *requests, size_t count)
{
    int code = sqlite_conn_begin(&self->writer, true);

    for (size_t i = 0; i < count && code == SQLITE_OK; i++)
        if (requests[i]->kind == STORE_PUSH)
            code = run_push(self, set, (struct store_push *)requests[i]);
    if (code == SQLITE_OK)
        code = sqlite_push_write(&self->writer, set);
    for (size_t i = 0; i < count && code == SQLITE_OK; i++)
        if (requests[i]->kind != STORE_PUSH)
            code = run_other_write(self, requests[i]);
    if (code == SQLITE_OK)
        code = sqlite_conn_commit(&self->writer);
    return code;
}

static int run_group(struct sqlite_runner *self, struct store_request *const *requests,
                     size_t count)
{
    struct push_set set;

    push_set_init(&set, &self->options.roles, self->hasher);
    int code = run_transaction(self, &set, requests, count);
    struct rpc_status status = sqlite_conn_status(&self->writer, code);
    if (code != SQLITE_OK)
        sqlite_conn_rollback(&self->writer);
    for (size_t i = 0; i < count; i++) {
        requests[i]->status = code == SQLITE_OK ? store_note(&self->options, requests[i]) : status;
        if (requests[i]->kind == STORE_PUSH && code == SQLITE_OK) {
            struct store_push *push = (struct store_push *)requests[i];
            push->head_global = store_place_in(&set, &scope_global_region);
            push->head_region = store_place_in(&set, &push->region_id);
        }
    }
    push_set_deinit(&set);
    return code;
}

/* R10: one that must fail is redone without, never with the others. */
void sqlite_run_writes(struct sqlite_runner *self, struct store_request *const *requests,
                       size_t count)
{
    if (run_group(self, requests, count) != SQLITE_OK && count > 1)
        for (size_t i = 0; i < count; i++)
            run_group(self, &requests[i], 1);
}

/* ---- Reads --------------------------------------------------------------- */

static int read_in_snapshot(struct sqlite_conn *conn, const struct scope_roles *roles,
                            struct store_request *request)
{
    switch (request->kind) {
    case STORE_HELLO:
        return sqlite_read_hello(conn, roles, (struct store_hello *)request);
    case STORE_PAGE:
        return sqlite_read_page(conn, roles, (struct store_page *)request);
    case STORE_HEADS:
        return sqlite_read_heads(conn, (struct store_heads *)request);
    case STORE_REFUSED:
        return sqlite_read_refused(conn, (struct store_refused *)request);
    case STORE_RECORD_GET:
        return sqlite_read_record(conn, (struct store_record_get *)request);
    case STORE_LOG_LIST:
        return sqlite_read_log(conn, (struct store_log_list *)request);
    case STORE_QUARANTINE_LIST:
        return sqlite_quarantine_list(conn, (struct store_quarantine_list *)request);
    case STORE_CONFLICT_LIST:
        return sqlite_conflict_list(conn, (struct store_conflict_list *)request);
    case STORE_DEVICE_LIST:
        return sqlite_device_list(conn, (struct store_device_list *)request);
    case STORE_DEVICE_GET:
        return sqlite_device_get(conn, (struct store_device_get *)request);
    case STORE_ROLLOUT_LIST:
        return sqlite_read_rollouts(conn, NULL, &((struct store_rollout_list *)request)->rollouts);
    default:
        assert(!"not a read");
        return SQLITE_MISUSE;
    }
}

void sqlite_run_read(struct sqlite_conn *conn, const struct scope_roles *roles,
                     struct store_request *request)
{
    int code = sqlite_conn_begin(conn, false);

    if (code == SQLITE_OK)
        code = read_in_snapshot(conn, roles, request);
    request->status = sqlite_conn_status(conn, code);
    sqlite_conn_rollback(conn); /* nothing was written */
}
