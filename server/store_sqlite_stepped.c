/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store without threads: its owner says what is executed next, one
 * step at a time, so that a simulation draws order and grouping from its seed. The
 * transactions are those of the engine with threads (store_sqlite_run.c).
 *
 *   submit -> writes | reads -> (drain: a step) -> completed -> (drain: a step) -> done()
 */
#include "store_queue.h"
#include "store_sqlite.h"

#include <assert.h>
#include <stdlib.h>

struct stepped_store {
    struct store base;
    struct store_steps steps;
    struct sqlite_runner runner;
    struct sqlite_conn reader;
    struct store_queue writes, reads, completed;
};

static void stepped_submit(struct store *base, struct store_request *request)
{
    struct stepped_store *self = (struct stepped_store *)base;

    store_queue_put(store_is_write(request->kind) ? &self->writes : &self->reads, request);
}

static void execute_writes(struct stepped_store *self, size_t count)
{
    struct store_request *requests[STORE_STEP_WRITES_MAX] = {NULL};

    assert(count > 0 && count <= self->writes.count && count <= STORE_STEP_WRITES_MAX);
    for (size_t i = 0; i < count; i++)
        requests[i] = store_queue_take(&self->writes);
    sqlite_run_writes(&self->runner, requests, count);
    for (size_t i = 0; i < count; i++)
        store_queue_put(&self->completed, requests[i]);
}

/* The one at that place of the line; the others keep their order. */
static void execute_read(struct stepped_store *self, size_t at)
{
    struct store_request *request = NULL;
    size_t count = self->reads.count;

    assert(at < count);
    for (size_t i = 0; i < count; i++) {
        struct store_request *next = store_queue_take(&self->reads);
        if (i == at)
            request = next;
        else
            store_queue_put(&self->reads, next);
    }
    sqlite_run_read(&self->reader, &self->runner.options.roles, request);
    store_queue_put(&self->completed, request);
}

static void tell(struct stepped_store *self, size_t count)
{
    assert(count <= self->completed.count);
    for (size_t i = 0; i < count; i++) {
        struct store_request *request = store_queue_take(&self->completed);
        request->done(request);
    }
}

static void stepped_drain(struct store *base)
{
    struct stepped_store *self = (struct stepped_store *)base;
    struct store_waiting waiting = {self->writes.count, self->reads.count, self->completed.count};

    if (waiting.writes + waiting.reads + waiting.completed == 0)
        return;
    struct store_step step = self->steps.next(self->steps.context, &waiting);
    switch (step.kind) {
    case STORE_STEP_WRITES:
        execute_writes(self, step.n);
        break;
    case STORE_STEP_READ:
        execute_read(self, step.n);
        break;
    case STORE_STEP_TELL:
        tell(self, step.n);
        break;
    }
}

static void stepped_wait(struct store *base)
{
    (void)base; /* drain executes; there is nobody to wait for */
}

static void fail_all(struct stepped_store *self, struct store_queue *queue)
{
    struct store_request *request;

    while ((request = store_queue_take(queue)) != NULL) {
        request->status = rpc_status_make(RPC_UNAVAILABLE, "the store is closed; try later");
        store_queue_put(&self->completed, request);
    }
}

/* What was not executed never is: its owners are told so, as is who waits for a
 * result. Also the error path of opening. */
static void stepped_close(struct store *base)
{
    struct stepped_store *self = (struct stepped_store *)base;

    while (self->writes.count + self->reads.count + self->completed.count > 0) {
        fail_all(self, &self->writes);
        fail_all(self, &self->reads);
        tell(self, self->completed.count);
    }
    sqlite_conn_close(&self->reader);
    sqlite_runner_deinit(&self->runner);
    free(self);
}

static const struct store_engine stepped_engine = {
    .submit = stepped_submit,
    .drain = stepped_drain,
    .wait = stepped_wait,
    .close = stepped_close,
};

struct rpc_status store_sqlite_open_stepped(const char *file, bool create,
                                            const struct store_options *options,
                                            const struct store_steps *steps,
                                            struct store **store_out)
{
    struct stepped_store *self = calloc(1, sizeof *self);

    if (self == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "open the store: out of memory");
    self->base.engine = &stepped_engine;
    self->steps = *steps;
    store_queue_init(&self->writes);
    store_queue_init(&self->reads);
    store_queue_init(&self->completed);
    struct rpc_status status = sqlite_runner_open(&self->runner, file, create, options);
    if (rpc_ok(&status))
        status = sqlite_conn_open(&self->reader, file, false);
    if (rpc_ok(&status))
        *store_out = &self->base;
    else
        stepped_close(&self->base);
    return status;
}
