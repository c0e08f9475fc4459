/* SPDX-License-Identifier: Apache-2.0
 *
 * Drives a session over a gRPC channel; see outpost_sync in outpost.h.
 *
 * This file is all I/O and no protocol: it moves the session's messages, counts
 * bytes, tells progress, and in follow mode notices edits of the app, for which
 * it ends the stream and begins another (after PushDone nothing can be pushed).
 */
#include "device.h"

#include "backoff.h"
#include "link.h"
#include "recertify.h"
#include "repair.h"
#include "resend.h"
#include "session.h"
#include "sync_lock.h"
#include "wipe_report.h"

#include "outpost/v1/sync.rpc.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    /* Calls of one sync that give a restored server what it lost, each at least one
     * level of parents further, or that fetch a region anew. */
    ROUNDS_MAX = 6,
    /* New identities before anything is caught up: more than one only when this copy
     * was copied itself while it asked for its first (R23). */
    IDENTITIES_MAX = 3,
    /* A message that leaves at once, so that the server has work; what is shorter shares a
     * TLS record with what follows. */
    FLUSH_BYTES = 16 * 1024,
    /* How often follow mode looks for edits of the app, ms. */
    LOOK_FOR_EDITS_MS = 1000,
    /* How often a follower that waits asks whether it was cancelled, ms. */
    WAIT_STEP_MS = 100,
    /* Of a server that did not say when to come again, and that said not to. */
    PUSHBACK_NONE = -1,
    PUSHBACK_NEVER = -2,
};

struct sync {
    struct outpost *outpost;
    struct sync_lock lock;
    const struct outpost_sync_options *options;
    struct outpost_sync_result *result; /* of all streams before this one */

    struct sync_session *session;
    struct link link;
    rpc_call *call;
    bool closed;             /* the call is over */
    struct rpc_status ended; /* how, when closed */
    bool store_failed;       /* the session gave up; see the store's status */
    bool pumping;            /* pump goes on when an event returns */
    bool copied;
    bool too_old;               /* the server refused: another copy has synced since (R23) */
    bool edited;                /* follow mode: the app has edited, or works elsewhere now */
    int rounds;                 /* streams since the last that was not of these (ROUNDS_MAX) */
    struct resend_mark resends; /* as this stream found them */
    int identities;             /* taken since the last CaughtUp (IDENTITIES_MAX) */
    bool paused;                /* follow mode: the server said not to sync by itself */
    uint32_t interval_s;        /* with paused: when to ask again */
    struct backoff backoff;     /* follow mode, without a link */
    int64_t pushback_ms;        /* what the server said to that */
    int64_t looked_ms;
    int64_t data_version;
    int64_t started_ms;
};

/* ---- Results ------------------------------------------------------------------------- */

static void add(struct outpost_sync_result *sum, const struct outpost_sync_result *part)
{
    sum->caught_up = part->caught_up;
    sum->caught_up_count += part->caught_up_count;
    sum->digest_mismatch = part->digest_mismatch;
    sum->recounted = sum->recounted || part->recounted;
    for (uint32_t i = 0; i < part->repaired && sum->repaired < OUTPOST_REPAIRED_MAX; i++)
        memcpy(sum->repaired_region_ids[sum->repaired++], part->repaired_region_ids[i],
               OUTPOST_ID_LEN);
    sum->pushed += part->pushed;
    sum->retried = part->retried;
    sum->pulled += part->pulled;
    sum->withdrawn += part->withdrawn;
    sum->conflicts += part->conflicts;
    sum->quarantined += part->quarantined;
    sum->round_trips += part->round_trips;
}

static struct outpost_sync_result result_now(const struct sync *sync)
{
    struct outpost_sync_result result = *sync->result;

    if (sync->session != NULL && !sync_session_waits(sync->session))
        add(&result, sync_session_result(sync->session));
    if (sync->link.channel != NULL) {
        struct rpc_conn_bytes bytes = rpc_conn_bytes(rpc_channel_conn(sync->link.channel));
        uint64_t handshake = bytes.handshake_sent + bytes.handshake_received;
        result.handshake_bytes += handshake;
        result.bytes_sent += bytes.sent - bytes.handshake_sent;
        result.bytes_received += bytes.received - bytes.handshake_received;
    }
    result.duration_ms = device_ticks_ms() - sync->started_ms;
    return result;
}

static void tell(struct sync *sync, bool caught_up)
{
    struct outpost_sync_result result = result_now(sync);
    struct outpost_progress progress = sync_session_progress(sync->session);

    progress.bytes_sent = result.bytes_sent;
    progress.bytes_received = result.bytes_received;
    if (sync->options->progress != NULL)
        sync->options->progress(sync->options->context, &progress);
    if (caught_up && sync->options->caught_up != NULL)
        sync->options->caught_up(sync->options->context, &result);
}

/* Whether another stream is to follow at once: a restored server is given back what it
 * lost (R22), a region is fetched anew (R24). What only waits is for the next sync. */
static bool another_round(struct sync *sync)
{
    struct store *store = &sync->outpost->store;
    const struct resend_mark *before = &sync->resends;
    struct resend_mark now = {0};
    bool repairs = false;

    return sync->rounds < ROUNDS_MAX && resend_mark(store, &now) &&
           repair_any_due(store, &repairs) &&
           (repairs || (now.count > 0 && (now.count != before->count || now.last != before->last)));
}

/* ---- The call ---------------------------------------------------------------------------- */

/* Sends until the session waits for the server. Outside of an event, reads what has arrived
 * meanwhile: at first the window that the server opens. */
static void pump(struct sync *sync, bool in_event)
{
    enum session_step step = SESSION_WAIT;
    struct rpc_bytes message;

    while (!sync->closed && !sync->store_failed) {
        if (!sync_session_next(sync->session, &step, &message)) {
            sync->store_failed = true;
            rpc_call_cancel(sync->call);
            return;
        }
        switch (step) {
        case SESSION_SEND:
            rpc_call_send(sync->call, message);
            if (message.len < FLUSH_BYTES)
                break;
            if (!in_event) {
                sync->pumping = true;
                rpc_channel_poll(sync->link.channel);
                sync->pumping = false;
            }
            rpc_channel_flush(sync->link.channel);
            break;
        case SESSION_HALF_CLOSE:
            rpc_call_half_close(sync->call);
            break;
        case SESSION_WAIT:
            return;
        }
    }
}

static void on_response(void *context, rpc_call *call, struct rpc_bytes response)
{
    struct sync *sync = context;
    uint32_t before = sync_session_result(sync->session)->caught_up_count;

    if (sync->store_failed)
        return;
    if (!sync_session_receive(sync->session, response)) {
        sync->store_failed = true;
        rpc_call_cancel(call);
        return;
    }
    tell(sync, sync_session_result(sync->session)->caught_up_count > before);
    if (sync_session_caught_up(sync->session) &&
        (sync_session_paused(sync->session) || another_round(sync)))
        sync_session_finish(sync->session);
    if (!sync->pumping)
        pump(sync, true);
}

/* gRPC's server push-back: a number of ms; anything else means not to try again. */
static int64_t pushback_of(const struct rpc_metadata *said)
{
    int64_t ms = 0;

    if (said == NULL)
        return PUSHBACK_NONE;
    if (said->value.len == 0)
        return PUSHBACK_NEVER;
    for (size_t i = 0; i < said->value.len; i++) {
        uint8_t digit = (uint8_t)(said->value.data[i] - '0');
        if (digit > 9)
            return PUSHBACK_NEVER;
        ms = ms < BACKOFF_PUSHED_BACK_MOST_MS ? ms * 10 + digit : BACKOFF_PUSHED_BACK_MOST_MS;
    }
    return ms < BACKOFF_PUSHED_BACK_MOST_MS ? ms : BACKOFF_PUSHED_BACK_MOST_MS;
}

static void on_close(void *context, rpc_call *call, const struct rpc_status *status,
                     struct rpc_metadata_list trailers)
{
    struct sync *sync = context;
    const struct rpc_metadata *reason = rpc_metadata_find(trailers, "outpost-reason");

    (void)call;
    sync->closed = true;
    sync->ended = *status;
    sync->copied = status->code == RPC_PERMISSION_DENIED && reason != NULL &&
                   rpc_bytes_equal(reason->value, rpc_bytes_view("copied", 6));
    sync->too_old = status->code == RPC_FAILED_PRECONDITION && reason != NULL &&
                    rpc_bytes_equal(reason->value, rpc_bytes_view("upgrade", 7));
    sync->pushback_ms = pushback_of(rpc_metadata_find(trailers, "grpc-retry-pushback-ms"));
}

static bool is_closed(void *context)
{
    const struct sync *sync = context;

    return sync->closed;
}

/* ---- Follow: what the app does meanwhile
 * ------------------------------------------------------------- */

static int64_t read_number(struct sync *sync, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = 0;

    if (sqlite3_prepare_v2(sync->outpost->store.db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

/* Looks at the pending marks only when another connection has committed. */
static void look_for_edits(struct sync *sync)
{
    int64_t now_ms = device_ticks_ms();
    int64_t version;

    if (!sync_session_caught_up(sync->session) || now_ms - sync->looked_ms < LOOK_FOR_EDITS_MS)
        return;
    sync->looked_ms = now_ms;
    version = read_number(sync, "PRAGMA data_version");
    if (version == sync->data_version)
        return;
    sync->data_version = version;
    if (!sync_session_elsewhere(sync->session) &&
        read_number(sync, "SELECT EXISTS (SELECT 1 FROM outpost_pending p WHERE NOT EXISTS"
                          " (SELECT 1 FROM outpost_rejected r WHERE r.type = p.type AND"
                          " r.family_id = p.family_id AND r.id = p.id AND"
                          " r.generation = p.generation))") == 0)
        return;
    sync->edited = true;
    sync_session_finish(sync->session);
    pump(sync, false);
}

static bool cancelled(void *context)
{
    struct sync *sync = context;

    if (sync->options->cancelled != NULL && sync->options->cancelled(sync->options->context))
        return true;
    if (sync->options->follow && sync->session != NULL && !sync->closed && !sync->edited &&
        !sync->store_failed && sync->call != NULL)
        look_for_edits(sync);
    return false;
}

static struct rpc_status run_call(struct sync *sync)
{
    static const struct outpost_v1_sync_service_client_sync_events events = {
        .on_response_bytes = on_response,
        .on_close = on_close,
    };
    struct rpc_metadata_list metadata = {NULL, 0};
    struct rpc_status status;

    sync->call = outpost_v1_sync_service_client_sync(rpc_channel_conn(sync->link.channel), metadata,
                                                     0, &events, sync);
    if (sync->call == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "the connection is gone");
    /* For the whole call, since the headers that name it leave with the first
     * message: zstd once this server has said, at an earlier sync, that it takes it. */
    rpc_call_set_encoding(sync->call, sync_session_encoding(sync->session));
    pump(sync, false);
    status = rpc_channel_run(sync->link.channel, is_closed, sync);
    if (!rpc_ok(&status) && !sync->closed) {
        rpc_call_cancel(sync->call);
        return status;
    }
    return sync->closed && !rpc_ok(&sync->ended) ? sync->ended : status;
}

/* ---- One stream, and follow's many
 * ---------------------------------------------------------------- */

static struct rpc_status run_stream(struct sync *sync)
{
    struct store *store = &sync->outpost->store;
    struct sync_session_options options = {.now_ms = device_now_ms(),
                                           .follow = sync->options->follow,
                                           .app_version = sync->outpost->app_version,
                                           .ticks_ms = device_ticks_ms};
    struct rpc_status status = rpc_status_ok();

    sync->closed = sync->edited = sync->copied = sync->too_old = false;
    sync->pushback_ms = PUSHBACK_NONE;
    sync->call = NULL;
    if (!resend_mark(store, &sync->resends) || !sync_session_new(store, &options, &sync->session)) {
        sync->store_failed = true;
        return status;
    }
    sync->data_version = read_number(sync, "PRAGMA data_version");
    if (link_open(&sync->link, store, cancelled, sync, &status))
        status = run_call(sync);
    if (status.code == RPC_UNAVAILABLE && store_ok(store))
        (void)!sync_session_broke(sync->session);
    return status;
}

static void end_stream(struct sync *sync)
{
    *sync->result = result_now(sync);
    sync->paused =
        sync->options->follow && sync->session != NULL && sync_session_paused(sync->session);
    if (sync->paused)
        sync->interval_s = sync_session_interval_s(sync->session);
    link_keep_session(&sync->link, &sync->outpost->store);
    link_close(&sync->link);
    sync_session_free(sync->session);
    sync->session = NULL;
}

static struct outpost_status mismatch(void)
{
    struct outpost_status status = {
        .code = OUTPOST_BUG,
        .message = "caught up, but the digest of a region is not the server's, and fetching it"
                   " anew did not help; it is tried again later: report it",
    };

    return status;
}

void outpost_sync_options_init_default(struct outpost_sync_options *options)
{
    *options = (struct outpost_sync_options){0};
}

static bool is_cancelled(const struct sync *sync)
{
    return sync->options->cancelled != NULL && sync->options->cancelled(sync->options->context);
}

/* Follow mode, until the next try: with the database free for a sync that somebody
 * asks for. False: cancelled. */
static bool wait_between(struct sync *sync, int64_t wait_ms)
{
    static const struct timespec step = {.tv_nsec = WAIT_STEP_MS * 1000000};
    int64_t until_ms = device_ticks_ms() + wait_ms;

    sync_lock_release(&sync->lock);
    while (!is_cancelled(sync)) {
        if (device_ticks_ms() >= until_ms && sync_lock_take(&sync->lock))
            return true;
        nanosleep(&step, NULL);
    }
    return false;
}

/* Follow mode, without a link: as long as the server says, or longer each time. */
static bool wait_for_link(struct sync *sync, const struct outpost_status *status)
{
    int64_t wait_ms = sync->pushback_ms;
    uint32_t random = 0;

    if (!sync->options->follow || status->code != OUTPOST_TRY_LATER || is_cancelled(sync) ||
        wait_ms == PUSHBACK_NEVER)
        return false;
    if (wait_ms == PUSHBACK_NONE) {
        (void)RAND_bytes((uint8_t *)&random, sizeof random);
        wait_ms = backoff_next(&sync->backoff, random);
    }
    if (sync->options->waiting != NULL)
        sync->options->waiting(sync->options->context, status, wait_ms);
    return wait_between(sync, wait_ms);
}

/* R23: an identity of its own, and then everything again. */
static struct outpost_status take_new_identity(struct sync *sync)
{
    struct record_uuid device_id;
    struct outpost_status status;
    struct rpc_status ended;

    ended = recertify(&sync->outpost->store, cancelled, sync, &device_id);
    status = device_status(sync->outpost);
    sync->identities += rpc_ok(&ended) || ended.code == RPC_FAILED_PRECONDITION;
    /* The server was restored meanwhile and takes this database for the device again. */
    if (status.code == OUTPOST_OK && ended.code == RPC_FAILED_PRECONDITION)
        return status;
    if (status.code == OUTPOST_OK)
        status = device_status_of_call("a new identity for this copy of a database", &ended);
    if (status.code != OUTPOST_OK)
        return status;
    sync->result->new_identity = true;
    memcpy(sync->result->device_id, device_id.bytes, OUTPOST_ID_LEN);
    return status;
}

/* The server's sentence says what to do. */
static struct outpost_status too_old_status(const struct rpc_status *ended)
{
    struct outpost_status status = {.code = OUTPOST_DENIED};

    snprintf(status.message, sizeof status.message, "sync: %s", ended->message);
    return status;
}

/* One stream, and what its end asks for. True: another one is to follow. */
static bool run_once(struct sync *sync, struct outpost_status *status_out)
{
    uint32_t before = sync->result->caught_up_count;
    struct rpc_status ended = run_stream(sync);
    bool again = another_round(sync) || sync->edited;
    bool copied;

    *status_out = device_status(sync->outpost);
    end_stream(sync);
    if (sync->result->caught_up_count > before) {
        sync->identities = 0;
        backoff_reset(&sync->backoff);
    }
    if (status_out->code != OUTPOST_OK)
        return false;
    copied = sync->copied && sync->identities < IDENTITIES_MAX;
    *status_out = copied ? take_new_identity(sync) : device_status_of_call("sync", &ended);
    sync->result->upgrade_required = sync->too_old;
    if (sync->too_old)
        *status_out = too_old_status(&ended);
    sync->result->retry_after_ms = sync->pushback_ms > 0 ? sync->pushback_ms : 0;
    if (status_out->code != OUTPOST_OK) {
        if (!wait_for_link(sync, status_out))
            return false;
        *status_out = (struct outpost_status){.code = OUTPOST_OK};
        return true;
    }
    if (copied)
        return true;
    sync->rounds = sync->edited || sync->paused ? 0 : sync->rounds + 1;
    if (!sync->paused)
        return again;
    if (wait_between(sync, (int64_t)sync->interval_s * 1000))
        return true;
    ended = rpc_status_make(RPC_CANCELLED, "cancelled on this side");
    *status_out = device_status_of_call("sync", &ended);
    return false;
}

/* An order was taken in this sync, or is still being obeyed. */
static bool is_wiping(struct outpost *device)
{
    struct wipe wipe;
    bool wiping = wipe_load(&device->store, &wipe) && wipe.ordered;

    device_status(device);
    return wiping;
}

struct outpost_status outpost_sync(outpost *device, const struct outpost_sync_options *options,
                                   struct outpost_sync_result *result_out)
{
    struct sync sync = {.outpost = device, .options = options, .result = result_out};
    struct outpost_status status;
    struct rpc_status ended;
    bool locked;

    *result_out = (struct outpost_sync_result){0};
    sync.started_ms = device_ticks_ms();
    locked = sync_lock_open(&sync.lock, &device->store);
    (void)!(locked && wipe_allows(&device->store));
    status = device_status(device);
    while (status.code == OUTPOST_OK && run_once(&sync, &status))
        ;
    if (locked && is_wiping(device))
        status = wipe_run(device, options);
    sync_lock_close(&sync.lock);
    if (status.code == OUTPOST_OK && !result_out->caught_up) {
        ended = rpc_status_make(RPC_UNAVAILABLE, "the server ended the stream too early");
        status = device_status_of_call("sync", &ended);
    }
    return status.code == OUTPOST_OK && result_out->digest_mismatch ? mismatch() : status;
}
