/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store's engine: threads and queues; store_sqlite_run.c executes.
 *
 * One writer thread takes what waits and commits it together (group commit):
 * pushes of any streams share one transaction, in arrival order, and their
 * answers go out after its commit (R10, R17). A few reader threads serve pages
 * and questions, each in its own read snapshot. Administrators' commands in
 * other processes open the same file themselves; their transactions are short.
 *
 *   submit -> writes | reads -> (threads) -> completed -> drain -> done()
 *
 * The mutex guards the two queues and `closing`; nothing is done under it.
 */
#include "store_sqlite.h"
#include "store_completions.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    READER_COUNT = 2,
    /* Requests of one transaction: how long the first waits for the last. */
    GROUP_REQUESTS_MAX = 64,
};

struct sqlite_store {
    struct store base;
    struct store_options options;
    char *file;
    pthread_mutex_t mutex;
    pthread_cond_t writes_wait;
    pthread_cond_t reads_wait;
    struct store_queue writes;
    struct store_queue reads;
    struct store_completions completions;
    bool closing;
    struct sqlite_runner runner; /* the writer's */
    struct sqlite_conn readers[READER_COUNT];
    pthread_t threads[READER_COUNT + 1];
    size_t thread_count;
};

/* ---- The writer ---------------------------------------------------------- */

static size_t take_group(struct sqlite_store *self, struct store_request **requests)
{
    size_t count = 0;
    size_t mutations = 0;

    while (count < GROUP_REQUESTS_MAX && mutations < STORE_TRANSACTION_MUTATIONS_MAX) {
        struct store_request *request = store_queue_take(&self->writes);
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
        sqlite_run_writes(&self->runner, requests, count);
        store_completions_add(&self->completions, requests, count);
    }
}

/* ---- The readers --------------------------------------------------------- */

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
        struct store_request *request = store_queue_take(&self->reads);
        pthread_mutex_unlock(&self->mutex);
        if (request == NULL)
            return NULL;
        sqlite_run_read(reader.conn, &self->runner.options.roles, request);
        store_completions_add(&self->completions, &request, 1);
    }
}

/* ---- The engine ---------------------------------------------------------- */

static void sqlite_submit(struct store *base, struct store_request *request)
{
    struct sqlite_store *self = (struct sqlite_store *)base;
    bool write = store_is_write(request->kind);

    pthread_mutex_lock(&self->mutex);
    bool full = self->writes.count + self->reads.count >= STORE_REQUESTS_MAX;
    if (!full) {
        store_queue_put(write ? &self->writes : &self->reads, request);
        pthread_cond_signal(write ? &self->writes_wait : &self->reads_wait);
    }
    pthread_mutex_unlock(&self->mutex);
    if (full) {
        request->status = rpc_status_make(RPC_UNAVAILABLE, "the server is overloaded; try later");
        store_completions_add(&self->completions, &request, 1);
    }
}

static void sqlite_drain(struct store *base)
{
    store_completions_drain(&((struct sqlite_store *)base)->completions);
}

static void sqlite_wait(struct store *base)
{
    store_completions_wait(&((struct sqlite_store *)base)->completions);
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
    sqlite_runner_deinit(&self->runner);
    store_completions_deinit(&self->completions);
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
    store_queue_init(&self->writes);
    store_queue_init(&self->reads);
    store_completions_init(&self->completions, options);
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->writes_wait, NULL);
    pthread_cond_init(&self->reads_wait, NULL);
    self->file = strdup(file);
    return self;
}

struct rpc_status store_sqlite_open(const char *file, bool create,
                                    const struct store_options *options, struct store **store_out)
{
    struct sqlite_store *self = sqlite_store_new(file, options);
    struct rpc_status status = rpc_status_make(RPC_UNAVAILABLE, "open the store: out of memory");

    if (self == NULL)
        return status;
    if (self->file == NULL)
        goto error;
    status = sqlite_runner_open(&self->runner, file, create, options);
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
