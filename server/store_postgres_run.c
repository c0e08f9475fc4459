/* SPDX-License-Identifier: Apache-2.0
 *
 * What the PostgreSQL store is asked, executed: one try of one transaction, in the
 * thread of the caller. When, how often and which pushes share one is said by
 * store_postgres.c.
 */
#include "store_postgres.h"

/* ---- Pushes -------------------------------------------------------------------- */

enum postgres_code postgres_run_group(struct postgres_conn *conn, const struct scope_roles *roles,
                                      struct record_hasher *hasher, struct postgres_group *group)
{
    struct push_set set;

    push_set_init(&set, roles, hasher);
    enum postgres_code code = postgres_push(conn, &set, group->pushes, group->count, &group->locks);
    for (size_t i = 0; i < group->count && code == POSTGRES_OK; i++) {
        group->pushes[i]->head_global = store_place_in(&set, &scope_global_region);
        group->pushes[i]->head_region = store_place_in(&set, &group->pushes[i]->region_id);
    }
    push_set_deinit(&set);
    return code;
}

/* ---- Everything else ------------------------------------------------------------- */

static enum postgres_code run_write(struct postgres_conn *conn, const struct scope_roles *roles,
                                    struct store_request *request)
{
    switch (request->kind) {
    case STORE_CAUGHT_UP:
        return postgres_caught_up(conn, (struct store_caught_up *)request);
    case STORE_ENROL:
        return postgres_enrol(conn, roles, (struct store_enrol *)request);
    case STORE_RECERTIFY:
        return postgres_recertify(conn, (struct store_recertify *)request);
    case STORE_CODE_ADD:
        return postgres_code_add(conn, roles, (struct store_code_add *)request);
    case STORE_DEVICE_ADD:
        return postgres_device_add(conn, (struct store_device_add *)request);
    case STORE_DEVICE_CHANGE:
        return postgres_device_change(conn, roles, (struct store_device_change *)request);
    case STORE_SETTING_SET:
        return postgres_setting_set(conn, roles, (struct store_setting_set *)request);
    case STORE_ROLLOUT_CHANGE:
        return postgres_rollout_change(conn, roles, (struct store_rollout_change *)request);
    case STORE_ROLLOUT_REVIEW:
        return postgres_rollout_review(conn, (struct store_rollout_review *)request);
    case STORE_SYNC_NOTE:
        return postgres_sync_note(conn, (struct store_sync_note *)request);
    case STORE_QUARANTINE_DISCARD:
        return postgres_quarantine_discard(conn, (struct store_quarantine_discard *)request);
    case STORE_CONFLICT_RESOLVE:
        return postgres_conflict_resolve(conn, (struct store_conflict_resolve *)request);
    default:
        return POSTGRES_FAILED;
    }
}

static enum postgres_code run_read(struct postgres_conn *conn, const struct scope_roles *roles,
                                   struct store_request *request)
{
    switch (request->kind) {
    case STORE_HELLO:
        return postgres_read_hello(conn, roles, (struct store_hello *)request);
    case STORE_PAGE:
        return postgres_read_page(conn, roles, (struct store_page *)request);
    case STORE_HEADS:
        return postgres_read_heads(conn, (struct store_heads *)request);
    case STORE_REFUSED:
        return postgres_read_refused(conn, (struct store_refused *)request);
    case STORE_RECORD_GET:
        return postgres_read_record(conn, (struct store_record_get *)request);
    case STORE_LOG_LIST:
        return postgres_read_log(conn, (struct store_log_list *)request);
    case STORE_QUARANTINE_LIST:
        return postgres_quarantine_list(conn, (struct store_quarantine_list *)request);
    case STORE_CONFLICT_LIST:
        return postgres_conflict_list(conn, (struct store_conflict_list *)request);
    case STORE_DEVICE_LIST:
        return postgres_device_list(conn, (struct store_device_list *)request);
    case STORE_DEVICE_GET:
        return postgres_device_get(conn, (struct store_device_get *)request);
    case STORE_ROLLOUT_LIST:
        return postgres_read_rollouts(conn, NULL,
                                      &((struct store_rollout_list *)request)->rollouts);
    default:
        return POSTGRES_FAILED;
    }
}

enum postgres_code postgres_run_request(struct postgres_conn *conn, const struct scope_roles *roles,
                                        struct record_hasher *hasher, struct store_request *request)
{
    bool writes = store_is_write(request->kind);

    /* A push, which begins its own transactions. */
    if (request->kind == STORE_QUARANTINE_RETRY)
        return postgres_quarantine_retry(conn, roles, hasher,
                                         (struct store_quarantine_retry *)request);
    postgres_send(conn, writes ? "BEGIN" : POSTGRES_BEGIN_SNAPSHOT);
    enum postgres_code code =
        writes ? run_write(conn, roles, request) : run_read(conn, roles, request);
    return code == POSTGRES_OK && postgres_in_transaction(conn) ? postgres_exec(conn, "COMMIT")
                                                                : code;
}
