/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine: threads, queues and transactions.
 *
 * Each thread has a connection of its own and takes one job at a time: writers a group
 * of pushes that wait for one region, which share a transaction (R10), or another
 * write; readers a question, in a read snapshot. A region is one writer's at a time:
 * so pushes of a stream stay in order, and nobody waits for a lock of his own
 * process. Straight-line code may block in a thread; the loop never does.
 *
 *   submit -> regions' queues, writes, reads -> (threads) -> completed -> drain -> done()
 *
 * A thread connects when it has its first job, so that a command that asks one thing
 * makes one connection. One that is lost is made anew by its thread, with back-off. While
 * no thread of its kind has one, what waits is answered UNAVAILABLE, so that devices come
 * again later. A push whose
 * COMMIT got no answer may be in the database: it is answered UNAVAILABLE too, and
 * what the device sends again is recognised by its ids (I2).
 *
 * The mutex guards the queues, the regions, `closing` and `away`; nothing is done
 * under it.
 */
#include "store_completions.h"
#include "store_postgres_regions.h"

#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    WRITERS = 4,
    READERS = 4,
    /* Tries of a transaction that met another one, with a pause that grows. */
    TRIES_MAX = 8,
    TRY_PAUSE_MS = 4,
    /* Between two tries to connect. */
    CONNECT_PAUSE_MS = 200,
    CONNECT_PAUSE_MOST_MS = 5000,
};

struct worker {
    struct postgres_store *store;
    struct postgres_conn conn;
    struct record_hasher *hasher;
    pthread_t thread;
    bool writes;
    bool lost; /* the last job found no database */
    bool away; /* it is looking for the database; the mutex's */
};

struct postgres_store {
    struct store base;
    struct store_options options;
    char *conninfo;
    pthread_mutex_t mutex;
    pthread_cond_t writes_wait;
    pthread_cond_t reads_wait;
    pthread_cond_t pause; /* signalled at closing */
    struct postgres_regions regions;
    struct store_queue writes; /* other than pushes */
    struct store_queue reads;
    struct store_completions completions;
    size_t request_count; /* waiting */
    bool closing;
    struct worker workers[WRITERS + READERS];
    size_t thread_count;
};

/* ---- Connections -------------------------------------------------------------- */

/* Sleeps, unless the store is closing. Up to a half more, so that the threads do not
 * come back as one. */
static void pause_for(struct postgres_store *self, int64_t ms)
{
    struct timespec until;
    uint16_t random = 0;

    (void)RAND_bytes((uint8_t *)&random, sizeof random);
    ms += ms * random / (2 * UINT16_MAX);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&self->mutex);
    if (!self->closing)
        pthread_cond_timedwait(&self->pause, &self->mutex, &until);
    pthread_mutex_unlock(&self->mutex);
}

static bool reconnect(struct worker *worker)
{
    postgres_conn_close(&worker->conn);
    struct rpc_status status = postgres_conn_open(&worker->conn, worker->store->conninfo);
    return rpc_ok(&status);
}

/* ---- Transactions -------------------------------------------------------------- */

/* Runs a transaction until it neither meets another one nor finds its locks too few.
 * One whose connection turns out to be gone gets a second one: what it left behind,
 * if anything, is found by its ids. */
static enum postgres_code run_tries(struct worker *worker,
                                    enum postgres_code (*run)(struct worker *worker, void *job),
                                    void *job)
{
    enum postgres_code code = POSTGRES_LOST;
    bool second = false;

    for (int tries = 0; tries < TRIES_MAX; tries++) {
        worker->lost = worker->conn.pg == NULL && !reconnect(worker);
        if (worker->lost)
            return POSTGRES_LOST;
        code = run(worker, job);
        if (code == POSTGRES_LOST) {
            postgres_conn_close(&worker->conn);
            worker->lost = second;
            if (second)
                return code;
            second = true;
            continue;
        }
        if (code != POSTGRES_OK)
            postgres_rollback(&worker->conn);
        if (code == POSTGRES_AGAIN)
            pause_for(worker->store, (int64_t)TRY_PAUSE_MS << tries);
        else if (code != POSTGRES_ABSENT)
            return code;
    }
    return code == POSTGRES_ABSENT ? POSTGRES_AGAIN : code;
}

/* ---- Pushes -------------------------------------------------------------------- */

static enum postgres_code run_group(struct worker *worker, void *job)
{
    return postgres_run_group(&worker->conn, &worker->store->options.roles, worker->hasher, job);
}

static enum postgres_code run_pushes(struct worker *worker, struct postgres_group *group)
{
    enum postgres_code code = run_tries(worker, run_group, group);
    struct rpc_status status = postgres_conn_status(&worker->conn, code);

    for (size_t i = 0; i < group->count; i++)
        group->pushes[i]->request.status = status;
    return code;
}

/* R10: one that must fail is redone without, never with the others. */
static void run_region(struct worker *worker, struct postgres_group *group)
{
    enum postgres_code code = run_pushes(worker, group);

    if (code != POSTGRES_OK && code != POSTGRES_LOST && group->count > 1)
        for (size_t i = 0; i < group->count; i++) {
            struct postgres_group alone = {.pushes = {group->pushes[i]}, .count = 1};
            run_pushes(worker, &alone);
        }
    struct store_request *requests[POSTGRES_GROUP_MAX];
    for (size_t i = 0; i < group->count; i++)
        requests[i] = &group->pushes[i]->request;
    store_completions_add(&worker->store->completions, requests, group->count);
}

/* ---- Everything else ------------------------------------------------------------- */

static enum postgres_code run_other(struct worker *worker, void *job)
{
    return postgres_run_request(&worker->conn, &worker->store->options.roles, worker->hasher, job);
}

static void run_one(struct worker *worker, struct store_request *request)
{
    enum postgres_code code = run_tries(worker, run_other, request);

    request->status = code == POSTGRES_OK ? store_note(&worker->store->options, request)
                                          : postgres_conn_status(&worker->conn, code);
    store_completions_add(&worker->store->completions, &request, 1);
}

/* ---- Threads --------------------------------------------------------------------- */

/* Whether no thread of this kind has a connection, or may yet have one. */
static bool all_away(const struct postgres_store *self, bool writes)
{
    for (size_t i = 0; i < WRITERS + READERS; i++)
        if (self->workers[i].writes == writes && !self->workers[i].away)
            return false;
    return true;
}

/* Answers all that waits for threads of this kind, unless one of them may still do it:
 * that one cannot connect says little, the database may have no place for one more. */
static void refuse_waiting(struct worker *worker)
{
    struct postgres_store *self = worker->store;
    struct rpc_status status = postgres_conn_status(&worker->conn, POSTGRES_LOST);
    struct store_queue *waiting = worker->writes ? &self->writes : &self->reads;
    struct store_queue refused;
    struct store_request *request;

    store_queue_init(&refused);
    pthread_mutex_lock(&self->mutex);
    if (all_away(self, worker->writes)) {
        if (worker->writes)
            postgres_regions_empty(&self->regions, &refused);
        while ((request = store_queue_take(waiting)) != NULL)
            store_queue_put(&refused, request);
        self->request_count -= refused.count;
    }
    pthread_mutex_unlock(&self->mutex);
    while ((request = store_queue_take(&refused)) != NULL) {
        request->status = status;
        store_completions_add(&self->completions, &request, 1);
    }
}

static bool is_closing(struct postgres_store *self)
{
    pthread_mutex_lock(&self->mutex);
    bool closing = self->closing;
    pthread_mutex_unlock(&self->mutex);
    return closing;
}

static void set_away(struct worker *worker, bool away)
{
    pthread_mutex_lock(&worker->store->mutex);
    worker->away = away;
    pthread_mutex_unlock(&worker->store->mutex);
}

/* After the connection was lost: tries again and again, and refuses what comes. */
static void find_database(struct worker *worker)
{
    struct postgres_store *self = worker->store;
    int64_t pause_ms = CONNECT_PAUSE_MS;

    while (worker->lost && !is_closing(self)) {
        worker->lost = !reconnect(worker);
        set_away(worker, worker->lost);
        if (!worker->lost)
            return;
        refuse_waiting(worker);
        pause_for(self, pause_ms);
        pause_ms = 2 * pause_ms < CONNECT_PAUSE_MOST_MS ? 2 * pause_ms : CONNECT_PAUSE_MOST_MS;
    }
}

static void release(struct postgres_store *self, struct postgres_region *region)
{
    pthread_mutex_lock(&self->mutex);
    postgres_regions_release(&self->regions, region);
    pthread_cond_signal(&self->writes_wait);
    pthread_mutex_unlock(&self->mutex);
}

static void *writer_main(void *context)
{
    struct worker *worker = context;
    struct postgres_store *self = worker->store;
    struct postgres_group group;

    for (;;) {
        find_database(worker);
        pthread_mutex_lock(&self->mutex);
        while (self->regions.waiting == NULL && self->writes.first == NULL && !self->closing)
            pthread_cond_wait(&self->writes_wait, &self->mutex);
        struct store_request *other = store_queue_take(&self->writes);
        struct postgres_region *region =
            other == NULL ? postgres_regions_take(&self->regions) : NULL;
        self->request_count -= other != NULL;
        if (region != NULL) {
            postgres_region_group(region, &group);
            self->request_count -= group.count;
        }
        pthread_mutex_unlock(&self->mutex);
        if (other == NULL && region == NULL)
            return NULL;
        if (other != NULL)
            run_one(worker, other);
        if (region != NULL && group.count > 0)
            run_region(worker, &group);
        if (region != NULL)
            release(self, region);
    }
}

static void *reader_main(void *context)
{
    struct worker *worker = context;
    struct postgres_store *self = worker->store;

    for (;;) {
        find_database(worker);
        pthread_mutex_lock(&self->mutex);
        while (self->reads.first == NULL && !self->closing)
            pthread_cond_wait(&self->reads_wait, &self->mutex);
        struct store_request *request = store_queue_take(&self->reads);
        self->request_count -= request != NULL;
        pthread_mutex_unlock(&self->mutex);
        if (request == NULL)
            return NULL;
        run_one(worker, request);
    }
}

/* ---- The engine ---------------------------------------------------------- */

static void postgres_submit(struct store *base, struct store_request *request)
{
    struct postgres_store *self = (struct postgres_store *)base;
    bool taken = true;

    pthread_mutex_lock(&self->mutex);
    if (self->request_count >= STORE_REQUESTS_MAX) {
        taken = false;
    } else if (request->kind == STORE_PUSH) {
        taken = postgres_regions_put(&self->regions, (struct store_push *)request);
        pthread_cond_signal(&self->writes_wait);
    } else if (store_is_write(request->kind)) {
        store_queue_put(&self->writes, request);
        pthread_cond_signal(&self->writes_wait);
    } else {
        store_queue_put(&self->reads, request);
        pthread_cond_signal(&self->reads_wait);
    }
    self->request_count += taken;
    pthread_mutex_unlock(&self->mutex);
    if (!taken) {
        request->status = rpc_status_make(RPC_UNAVAILABLE, "the server is overloaded; try later");
        store_completions_add(&self->completions, &request, 1);
    }
}

static void postgres_drain(struct store *base)
{
    store_completions_drain(&((struct postgres_store *)base)->completions);
}

static void postgres_wait(struct store *base)
{
    store_completions_wait(&((struct postgres_store *)base)->completions);
}

/* Accepts half-opened objects: it is also the error path of opening. */
static void postgres_close(struct store *base)
{
    struct postgres_store *self = (struct postgres_store *)base;

    pthread_mutex_lock(&self->mutex);
    self->closing = true;
    pthread_cond_broadcast(&self->writes_wait);
    pthread_cond_broadcast(&self->reads_wait);
    pthread_cond_broadcast(&self->pause);
    pthread_mutex_unlock(&self->mutex);
    for (size_t i = 0; i < self->thread_count; i++)
        pthread_join(self->workers[i].thread, NULL);
    postgres_drain(base);
    for (size_t i = 0; i < WRITERS + READERS; i++) {
        postgres_conn_close(&self->workers[i].conn);
        record_hasher_free(self->workers[i].hasher);
    }
    pthread_cond_destroy(&self->pause);
    store_completions_deinit(&self->completions);
    pthread_cond_destroy(&self->reads_wait);
    pthread_cond_destroy(&self->writes_wait);
    pthread_mutex_destroy(&self->mutex);
    free(self->conninfo);
    free(self);
}

static const struct store_engine postgres_engine = {
    .submit = postgres_submit,
    .drain = postgres_drain,
    .wait = postgres_wait,
    .close = postgres_close,
};

static bool start_threads(struct postgres_store *self)
{
    for (size_t i = 0; i < WRITERS + READERS; i++) {
        struct worker *worker = &self->workers[i];
        if (pthread_create(&worker->thread, NULL, worker->writes ? writer_main : reader_main,
                           worker) != 0)
            return false;
        self->thread_count++;
    }
    return true;
}

static struct postgres_store *postgres_store_new(const char *conninfo,
                                                 const struct store_options *options)
{
    struct postgres_store *self = calloc(1, sizeof *self);
    bool good = true;

    if (self == NULL)
        return NULL;
    self->base.engine = &postgres_engine;
    self->options = *options;
    store_queue_init(&self->writes);
    store_queue_init(&self->reads);
    store_completions_init(&self->completions, options);
    postgres_regions_init(&self->regions);
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->writes_wait, NULL);
    pthread_cond_init(&self->reads_wait, NULL);
    pthread_cond_init(&self->pause, NULL);
    self->conninfo = strdup(conninfo);
    for (size_t i = 0; i < WRITERS + READERS; i++) {
        self->workers[i].store = self;
        self->workers[i].writes = i < WRITERS;
        self->workers[i].hasher = record_hasher_new();
        good = good && self->workers[i].hasher != NULL;
    }
    if (good && self->conninfo != NULL)
        return self;
    postgres_close(&self->base);
    return NULL;
}

struct rpc_status store_postgres_open(const char *conninfo, const struct store_options *options,
                                      struct store **store_out)
{
    struct postgres_store *self = postgres_store_new(conninfo, options);

    if (self == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "open the store: out of memory");
    struct postgres_conn *first = &self->workers[0].conn;
    struct rpc_status status = postgres_conn_open(first, conninfo);
    if (rpc_ok(&status))
        status = postgres_check_schema(first);
    if (rpc_ok(&status) && !start_threads(self))
        status = rpc_status_make(RPC_UNAVAILABLE, "open the store: no thread could be started");
    if (!rpc_ok(&status)) {
        postgres_close(&self->base);
        return status;
    }
    *store_out = &self->base;
    return status;
}
