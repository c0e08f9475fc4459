/* SPDX-License-Identifier: Apache-2.0
 *
 * See rpc_retry.h. The states:
 *
 *              rpc_retry_attempt        the server answers
 *   WAITING ----------------------> TRIED ---------------> COMMITTED
 *      ^                             |  |                      |
 *      +-----------------------------+  +--------> OVER <------+
 *        it failed, and may be made again    it ended
 */
#include "outpost/rpc_retry.h"

#include "metadata.h"

#include <assert.h>
#include <stdlib.h>

enum retry_state {
    RETRY_WAITING,   /* for due_ms, and a connection */
    RETRY_TRIED,     /* an attempt is under way; what it sends is kept */
    RETRY_COMMITTED, /* to this attempt; nothing is kept */
    RETRY_OVER,
};

enum {
    MESSAGE_HEAD_LEN = sizeof(size_t), /* of a kept message: its length */
};

struct rpc_retry {
    struct rpc_retry_options options;
    enum retry_state state;
    rpc_call *call; /* the attempt; NULL while WAITING and when OVER */
    struct rpc_buffer kept;
    bool too_much; /* more was sent than is kept: this attempt is the last */
    bool half_closed;
    unsigned attempts;     /* made by policy */
    bool transparent_once; /* it was made again because nobody had looked at it */
    int64_t due_ms;
    int64_t deadline_ms; /* -1: none */
};

static int64_t now_ms(const rpc_retry *retry)
{
    return retry->options.clock.now_ms(retry->options.clock.context);
}

/* ---- The end --------------------------------------------------------------- */

static void end(rpc_retry *retry, rpc_call *call, const struct rpc_status *status,
                struct rpc_metadata_list trailers)
{
    const struct rpc_call_options *options = &retry->options.call;

    retry->state = RETRY_OVER;
    retry->call = NULL;
    rpc_buffer_deinit(&retry->kept);
    if (options->events.on_close != NULL)
        options->events.on_close(options->context, call, status, trailers);
}

static void end_without_attempt(rpc_retry *retry, const struct rpc_status *status)
{
    end(retry, NULL, status, (struct rpc_metadata_list){0});
}

/* ---- Whether to try again ------------------------------------------------------ */

static void note_throttle(struct rpc_retry_throttle *throttle, bool failed)
{
    if (throttle == NULL)
        return;
    if (failed)
        throttle->tokens -= throttle->tokens < 1000 ? throttle->tokens : 1000;
    else if (throttle->tokens_max - throttle->tokens < throttle->tokens_ratio)
        throttle->tokens = throttle->tokens_max;
    else
        throttle->tokens += throttle->tokens_ratio;
}

static bool throttled(const struct rpc_retry_throttle *throttle)
{
    return throttle != NULL && throttle->tokens <= throttle->tokens_max / 2;
}

/* False: the server said nothing. *wait_ms_out: -1: not again. */
static bool read_pushback(struct rpc_metadata_list trailers, int64_t *wait_ms_out)
{
    const struct rpc_metadata *entry = rpc_metadata_find(trailers, "grpc-retry-pushback-ms");

    if (entry != NULL)
        *wait_ms_out = metadata_parse_number(entry->value);
    return entry != NULL;
}

/* A call that no server looked at is made once more at once, whatever it does. */
static bool is_transparent(rpc_retry *retry, const rpc_call *call)
{
    if (!rpc_call_unprocessed(call) || retry->transparent_once)
        return false;
    retry->transparent_once = true;
    return true;
}

/* False: the status stands. Else due_ms is set. */
static bool retried_by_policy(rpc_retry *retry, const struct rpc_status *status,
                              struct rpc_metadata_list trailers)
{
    struct rpc_retry_policy *policy = &retry->options.policy;
    bool listed = (policy->codes & 1u << status->code) != 0;
    int64_t wait_ms = 0;
    bool pushback = read_pushback(trailers, &wait_ms);
    bool forbidden = pushback && wait_ms < 0;

    if (listed || forbidden)
        note_throttle(retry->options.throttle, true);
    if (!listed || forbidden || throttled(retry->options.throttle) ||
        retry->attempts >= policy->attempts_max || retry->attempts >= RPC_RETRY_ATTEMPTS_MAX)
        return false;
    if (pushback)
        rpc_backoff_reset(&policy->backoff);
    else
        wait_ms = rpc_backoff_next_ms(&policy->backoff);
    retry->due_ms = now_ms(retry) + wait_ms;
    return retry->deadline_ms < 0 || retry->due_ms < retry->deadline_ms;
}

/* ---- What an attempt tells -------------------------------------------------------- */

static void commit(rpc_retry *retry)
{
    if (retry->state != RETRY_TRIED)
        return;
    retry->state = RETRY_COMMITTED;
    rpc_buffer_deinit(&retry->kept);
}

static void on_metadata(void *context, rpc_call *call, struct rpc_metadata_list metadata)
{
    rpc_retry *retry = context;
    const struct rpc_call_options *options = &retry->options.call;

    commit(retry);
    if (options->events.on_metadata != NULL)
        options->events.on_metadata(options->context, call, metadata);
}

static void on_message(void *context, rpc_call *call, struct rpc_bytes message)
{
    rpc_retry *retry = context;
    const struct rpc_call_options *options = &retry->options.call;

    if (options->events.on_message != NULL)
        options->events.on_message(options->context, call, message);
}

static void on_writable(void *context, rpc_call *call)
{
    rpc_retry *retry = context;
    const struct rpc_call_options *options = &retry->options.call;

    if (options->events.on_writable != NULL)
        options->events.on_writable(options->context, call);
}

static void on_close(void *context, rpc_call *call, const struct rpc_status *status,
                     struct rpc_metadata_list trailers)
{
    rpc_retry *retry = context;
    bool may_retry = retry->state == RETRY_TRIED && !retry->too_much && !rpc_ok(status);

    if (rpc_ok(status))
        note_throttle(retry->options.throttle, false);
    if (may_retry && is_transparent(retry, call)) {
        retry->due_ms = now_ms(retry);
        retry->attempts--;
    } else if (!may_retry || !retried_by_policy(retry, status, trailers)) {
        end(retry, call, status, trailers);
        return;
    }
    retry->state = RETRY_WAITING;
    retry->call = NULL;
}

/* ---- Attempts ---------------------------------------------------------------------- */

static void send_kept(rpc_retry *retry)
{
    struct rpc_bytes rest = rpc_buffer_view(&retry->kept);

    while (rest.len > 0) {
        size_t len;
        memcpy(&len, rest.data, sizeof len);
        rpc_call_send(retry->call, rpc_bytes_view(rest.data + MESSAGE_HEAD_LEN, len));
        rest.data += MESSAGE_HEAD_LEN + len;
        rest.len -= MESSAGE_HEAD_LEN + len;
    }
    if (retry->half_closed)
        rpc_call_half_close(retry->call);
}

static struct rpc_status deadline_status(void)
{
    return rpc_status_make(RPC_DEADLINE_EXCEEDED, "the call's deadline has passed");
}

void rpc_retry_attempt(rpc_retry *retry, rpc_conn *conn)
{
    struct rpc_call_options options = retry->options.call;
    struct rpc_status status;

    assert(retry->state == RETRY_WAITING);
    if (retry->deadline_ms >= 0) {
        options.timeout_ms = retry->deadline_ms - now_ms(retry);
        if (options.timeout_ms <= 0) {
            status = deadline_status();
            end_without_attempt(retry, &status);
            return;
        }
    }
    options.previous_attempts = retry->attempts;
    options.events = (struct rpc_call_events){.on_metadata = on_metadata,
                                              .on_message = on_message,
                                              .on_writable = on_writable,
                                              .on_close = on_close};
    options.context = retry;
    retry->call = rpc_client_call(conn, &options);
    if (retry->call == NULL) {
        status = rpc_status_make(RPC_UNAVAILABLE, "the connection takes no call");
        rpc_retry_no_connection(retry, &status, now_ms(retry));
        return;
    }
    retry->attempts++;
    retry->state = RETRY_TRIED;
    send_kept(retry);
}

void rpc_retry_no_connection(rpc_retry *retry, const struct rpc_status *status, int64_t next_ms)
{
    if (retry->state != RETRY_WAITING)
        return;
    if (retry->deadline_ms >= 0 && now_ms(retry) >= retry->deadline_ms) {
        struct rpc_status late = deadline_status();
        end_without_attempt(retry, &late);
        return;
    }
    if (!retry->options.wait_for_ready) {
        retry->attempts++;
        if (!retried_by_policy(retry, status, (struct rpc_metadata_list){0})) {
            end_without_attempt(retry, status);
            return;
        }
    }
    if (retry->due_ms < next_ms)
        retry->due_ms = next_ms;
    if (retry->deadline_ms >= 0 && retry->due_ms > retry->deadline_ms)
        retry->due_ms = retry->deadline_ms;
}

/* ---- What the owner asks -------------------------------------------------------------- */

rpc_retry *rpc_retry_new(const struct rpc_retry_options *options)
{
    rpc_retry *retry = calloc(1, sizeof *retry);

    if (retry == NULL)
        return NULL;
    retry->options = *options;
    rpc_buffer_init(&retry->kept, RPC_RETRY_BYTES_MAX);
    retry->due_ms = now_ms(retry);
    retry->deadline_ms =
        options->call.timeout_ms > 0 ? retry->due_ms + options->call.timeout_ms : -1;
    return retry;
}

void rpc_retry_free(rpc_retry *retry)
{
    if (retry == NULL)
        return;
    /* The attempt's end is still to come, and must not find us. */
    assert(retry->state == RETRY_OVER || retry->state == RETRY_WAITING);
    rpc_buffer_deinit(&retry->kept);
    free(retry);
}

static void keep(rpc_retry *retry, struct rpc_bytes message)
{
    size_t len = message.len;

    if (retry->state == RETRY_COMMITTED || retry->too_much)
        return;
    rpc_buffer_append(&retry->kept, &len, MESSAGE_HEAD_LEN);
    rpc_buffer_append_bytes(&retry->kept, message);
    if (retry->kept.failed && retry->state == RETRY_TRIED) {
        retry->too_much = true;
        rpc_buffer_deinit(&retry->kept);
    }
}

void rpc_retry_send(rpc_retry *retry, struct rpc_bytes message)
{
    if (retry->state == RETRY_OVER || retry->half_closed)
        return;
    keep(retry, message);
    if (retry->call != NULL) {
        rpc_call_send(retry->call, message);
    } else if (retry->kept.failed) {
        struct rpc_status status = rpc_status_make(
            RPC_RESOURCE_EXHAUSTED, "over %d bytes wait for a connection", RPC_RETRY_BYTES_MAX);
        end_without_attempt(retry, &status);
    }
}

void rpc_retry_half_close(rpc_retry *retry)
{
    retry->half_closed = true;
    if (retry->call != NULL)
        rpc_call_half_close(retry->call);
}

void rpc_retry_cancel(rpc_retry *retry)
{
    commit(retry); /* no other attempt */
    if (retry->call != NULL) {
        rpc_call_cancel(retry->call);
    } else if (retry->state == RETRY_WAITING) {
        struct rpc_status status = rpc_status_make(RPC_CANCELLED, "cancelled on this side");
        end_without_attempt(retry, &status);
    }
}

bool rpc_retry_over(const rpc_retry *retry)
{
    return retry->state == RETRY_OVER;
}

int64_t rpc_retry_due_ms(const rpc_retry *retry)
{
    return retry->state == RETRY_WAITING ? retry->due_ms : -1;
}
