/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store's engine: threads, queues and transactions.
 *
 * One writer thread takes what waits and commits it together (group commit):
 * pushes of any streams share one transaction, in arrival order, and their
 * answers go out after its commit (R10, R17). A few reader threads serve pages
 * and questions, each in its own read snapshot. Administrators' commands in
 * other processes open the same file themselves; their transactions are short.
 *
 *   submit -> writes | reads -> (threads) -> completed -> drain -> done()
 *
 * The mutex guards the three queues and `closing`; nothing is done under it.
 */
#include "store_sqlite.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    READER_COUNT = 2,
    /* Requests of one transaction: how long the first waits for the last. */
    GROUP_REQUESTS_MAX = 64,
};

struct queue {
    struct store_request *first;
    struct store_request **end;
    size_t count;
};

struct sqlite_store {
    struct store base;
    struct store_options options;
    char *file;
    pthread_mutex_t mutex;
    pthread_cond_t writes_wait;
    pthread_cond_t reads_wait;
    pthread_cond_t completed_wait;
    struct queue writes;
    struct queue reads;
    struct queue completed;
    bool closing;
    struct sqlite_conn writer;
    struct record_hasher *hasher; /* the writer's */
    struct sqlite_conn readers[READER_COUNT];
    pthread_t threads[READER_COUNT + 1];
    size_t thread_count;
};

/* ---- Queues -------------------------------------------------------------- */

static void queue_init(struct queue *queue)
{
    *queue = (struct queue){.end = &queue->first};
}

static void queue_put(struct queue *queue, struct store_request *request)
{
    request->next = NULL;
    *queue->end = request;
    queue->end = &request->next;
    queue->count++;
}

static struct store_request *queue_take(struct queue *queue)
{
    struct store_request *request = queue->first;

    if (request == NULL)
        return NULL;
    queue->first = request->next;
    if (queue->first == NULL)
        queue->end = &queue->first;
    queue->count--;
    return request;
}

static void complete(struct sqlite_store *self, struct store_request *const *requests, size_t count)
{
    pthread_mutex_lock(&self->mutex);
    for (size_t i = 0; i < count; i++)
        queue_put(&self->completed, requests[i]);
    pthread_cond_signal(&self->completed_wait);
    pthread_mutex_unlock(&self->mutex);
    if (self->options.notify != NULL)
        self->options.notify(self->options.context);
}

/* ---- The writer ---------------------------------------------------------- */

static bool is_write(enum store_kind kind)
{
    switch (kind) {
    case STORE_PUSH:
    case STORE_CAUGHT_UP:
    case STORE_ENROL:
    case STORE_RECERTIFY:
    case STORE_CODE_ADD:
    case STORE_DEVICE_CHANGE:
    case STORE_SETTING_SET:
    case STORE_QUARANTINE_RETRY:
    case STORE_QUARANTINE_DISCARD:
    case STORE_CONFLICT_RESOLVE:
    case STORE_DEVICE_ADD:
        return true;
    default:
        return false;
    }
}

static int run_other_write(struct sqlite_store *self, struct store_request *request)
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

static struct store_place place_in(struct push_set *set, const struct record_uuid *region_id)
{
    bool added = false;
    const struct push_region *region = push_set_region(set, region_id, &added);
    struct store_place place = {0};

    if (region != NULL) {
        place.seq = region->last_seq;
        memcpy(place.hash, region->last_hash, STORE_HASH_LEN);
    }
    return place;
}

static int run_push(struct sqlite_store *self, struct push_set *set, struct store_push *push)
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
static int run_transaction(struct sqlite_store *self, struct push_set *set,
                           struct store_request *const *requests, size_t count)
{
    int code = sqlite_conn_exec(&self->writer, "BEGIN IMMEDIATE");

    for (size_t i = 0; i < count && code == SQLITE_OK; i++)
        if (requests[i]->kind == STORE_PUSH)
            code = run_push(self, set, (struct store_push *)requests[i]);
    if (code == SQLITE_OK)
        code = sqlite_push_write(&self->writer, set);
    for (size_t i = 0; i < count && code == SQLITE_OK; i++)
        if (requests[i]->kind != STORE_PUSH)
            code = run_other_write(self, requests[i]);
    if (code == SQLITE_OK)
        code = sqlite_conn_exec(&self->writer, "COMMIT");
    return code;
}

static int run_group(struct sqlite_store *self, struct store_request *const *requests, size_t count)
{
    struct push_set set;

    push_set_init(&set, &self->options.roles, self->hasher);
    int code = run_transaction(self, &set, requests, count);
    struct rpc_status status = sqlite_conn_status(&self->writer, code);
    if (code != SQLITE_OK && !sqlite3_get_autocommit(self->writer.db))
        sqlite_conn_exec(&self->writer, "ROLLBACK");
    for (size_t i = 0; i < count; i++) {
        requests[i]->status = code == SQLITE_OK ? store_note(&self->options, requests[i]) : status;
        if (requests[i]->kind == STORE_PUSH && code == SQLITE_OK) {
            struct store_push *push = (struct store_push *)requests[i];
            push->head_global = place_in(&set, &scope_global_region);
            push->head_region = place_in(&set, &push->region_id);
        }
    }
    push_set_deinit(&set);
    return code;
}

/* R10: one that must fail is redone without, never with the others. */
static void run_writes(struct sqlite_store *self, struct store_request *const *requests,
                       size_t count)
{
    if (run_group(self, requests, count) != SQLITE_OK && count > 1)
        for (size_t i = 0; i < count; i++)
            run_group(self, &requests[i], 1);
    complete(self, requests, count);
}

static size_t take_group(struct sqlite_store *self, struct store_request **requests)
{
    size_t count = 0;
    size_t mutations = 0;

    while (count < GROUP_REQUESTS_MAX && mutations < STORE_TRANSACTION_MUTATIONS_MAX) {
        struct store_request *request = queue_take(&self->writes);
        if (request == NULL)
            break;
        if (request->kind == STORE_PUSH)
            mutations += ((struct store_push *)request)->batch->item_count;
        requests[count++] = request;
    }
    return count;
}

static void *writer_main(void *context)
{
    struct sqlite_store *self = context;
    struct store_request *requests[GROUP_REQUESTS_MAX];

    for (;;) {
        pthread_mutex_lock(&self->mutex);
        while (self->writes.first == NULL && !self->closing)
            pthread_cond_wait(&self->writes_wait, &self->mutex);
        size_t count = take_group(self, requests);
        pthread_mutex_unlock(&self->mutex);
        if (count == 0)
            return NULL;
        run_writes(self, requests, count);
    }
}

/* ---- The readers --------------------------------------------------------- */

static int run_read(struct sqlite_store *self, struct sqlite_conn *conn,
                    struct store_request *request)
{
    switch (request->kind) {
    case STORE_HELLO:
        return sqlite_read_hello(conn, &self->options.roles, (struct store_hello *)request);
    case STORE_PAGE:
        return sqlite_read_page(conn, &self->options.roles, (struct store_page *)request);
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
    default:
        assert(!"not a read");
        return SQLITE_MISUSE;
    }
}

static void run_in_snapshot(struct sqlite_store *self, struct sqlite_conn *conn,
                            struct store_request *request)
{
    int code = sqlite_conn_exec(conn, "BEGIN");

    if (code == SQLITE_OK)
        code = run_read(self, conn, request);
    request->status = sqlite_conn_status(conn, code);
    if (!sqlite3_get_autocommit(conn->db))
        sqlite_conn_exec(conn, "COMMIT");
    complete(self, &request, 1);
}

struct reader {
    struct sqlite_store *self;
    struct sqlite_conn *conn;
};

static void *reader_main(void *context)
{
    struct reader reader = *(struct reader *)context;
    struct sqlite_store *self = reader.self;

    free(context);
    for (;;) {
        pthread_mutex_lock(&self->mutex);
        while (self->reads.first == NULL && !self->closing)
            pthread_cond_wait(&self->reads_wait, &self->mutex);
        struct store_request *request = queue_take(&self->reads);
        pthread_mutex_unlock(&self->mutex);
        if (request == NULL)
            return NULL;
        run_in_snapshot(self, reader.conn, request);
    }
}

/* ---- The engine ---------------------------------------------------------- */

static void sqlite_submit(struct store *base, struct store_request *request)
{
    struct sqlite_store *self = (struct sqlite_store *)base;
    bool write = is_write(request->kind);

    pthread_mutex_lock(&self->mutex);
    bool full = self->writes.count + self->reads.count >= STORE_REQUESTS_MAX;
    if (!full) {
        queue_put(write ? &self->writes : &self->reads, request);
        pthread_cond_signal(write ? &self->writes_wait : &self->reads_wait);
    }
    pthread_mutex_unlock(&self->mutex);
    if (full) {
        request->status = rpc_status_make(RPC_UNAVAILABLE, "the server is overloaded; try later");
        complete(self, &request, 1);
    }
}

static void sqlite_drain(struct store *base)
{
    struct sqlite_store *self = (struct sqlite_store *)base;

    pthread_mutex_lock(&self->mutex);
    struct store_request *request = self->completed.first;
    queue_init(&self->completed);
    pthread_mutex_unlock(&self->mutex);
    while (request != NULL) {
        struct store_request *next = request->next;
        request->done(request);
        request = next;
    }
}

static void sqlite_wait(struct store *base)
{
    struct sqlite_store *self = (struct sqlite_store *)base;

    pthread_mutex_lock(&self->mutex);
    while (self->completed.first == NULL)
        pthread_cond_wait(&self->completed_wait, &self->mutex);
    pthread_mutex_unlock(&self->mutex);
}

/* Accepts half-opened objects: it is also the error path of opening. */
static void sqlite_close(struct store *base)
{
    struct sqlite_store *self = (struct sqlite_store *)base;

    pthread_mutex_lock(&self->mutex);
    self->closing = true;
    pthread_cond_broadcast(&self->writes_wait);
    pthread_cond_broadcast(&self->reads_wait);
    pthread_mutex_unlock(&self->mutex);
    for (size_t i = 0; i < self->thread_count; i++)
        pthread_join(self->threads[i], NULL);
    sqlite_drain(base);
    for (size_t i = 0; i < READER_COUNT; i++)
        sqlite_conn_close(&self->readers[i]);
    sqlite_conn_close(&self->writer);
    record_hasher_free(self->hasher);
    pthread_cond_destroy(&self->completed_wait);
    pthread_cond_destroy(&self->reads_wait);
    pthread_cond_destroy(&self->writes_wait);
    pthread_mutex_destroy(&self->mutex);
    free(self->file);
    free(self);
}

static const struct store_engine sqlite_engine = {
    .submit = sqlite_submit,
    .drain = sqlite_drain,
    .wait = sqlite_wait,
    .close = sqlite_close,
};

static bool start_thread(struct sqlite_store *self, void *(*thread_main)(void *), void *context)
{
    if (pthread_create(&self->threads[self->thread_count], NULL, thread_main, context) != 0)
        return false;
    self->thread_count++;
    return true;
}

static bool start_threads(struct sqlite_store *self)
{
    if (!start_thread(self, writer_main, self))
        return false;
    for (size_t i = 0; i < READER_COUNT; i++) {
        struct reader *reader = malloc(sizeof *reader);
        if (reader == NULL)
            return false;
        *reader = (struct reader){self, &self->readers[i]};
        if (!start_thread(self, reader_main, reader)) {
            free(reader);
            return false;
        }
    }
    return true;
}

static struct sqlite_store *sqlite_store_new(const char *file, const struct store_options *options)
{
    struct sqlite_store *self = calloc(1, sizeof *self);

    if (self == NULL)
        return NULL;
    self->base.engine = &sqlite_engine;
    self->options = *options;
    queue_init(&self->writes);
    queue_init(&self->reads);
    queue_init(&self->completed);
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->writes_wait, NULL);
    pthread_cond_init(&self->reads_wait, NULL);
    pthread_cond_init(&self->completed_wait, NULL);
    self->file = strdup(file);
    self->hasher = record_hasher_new();
    return self;
}

struct rpc_status store_sqlite_open(const char *file, bool create,
                                    const struct store_options *options, struct store **store_out)
{
    struct sqlite_store *self = sqlite_store_new(file, options);
    struct rpc_status status = rpc_status_make(RPC_UNAVAILABLE, "open the store: out of memory");

    if (self == NULL)
        return status;
    if (self->file == NULL || self->hasher == NULL)
        goto error;
    status = sqlite_conn_open(&self->writer, file, create);
    if (rpc_ok(&status))
        status = sqlite_migrate(&self->writer);
    for (size_t i = 0; i < READER_COUNT && rpc_ok(&status); i++)
        status = sqlite_conn_open(&self->readers[i], file, false);
    if (!rpc_ok(&status))
        goto error;
    if (!start_threads(self)) {
        status = rpc_status_make(RPC_UNAVAILABLE, "open the store: no thread could be started");
        goto error;
    }
    *store_out = &self->base;
    return rpc_status_ok();

error:
    sqlite_close(&self->base);
    return status;
}
