/* SPDX-License-Identifier: Apache-2.0 */
#include "outpost/rpc_target.h"

#include <stdlib.h>
#include <time.h>

enum {
    /* Waits are cut so that a cancellation is noticed. */
    WAIT_STEP_MS = 250,
};

struct rpc_target {
    struct rpc_channel_options options;
    struct rpc_backoff backoff;
    rpc_channel *channel; /* NULL: none, or not any more */
    int64_t connect_due_ms;
    struct rpc_status failure; /* why the last connection did not come about */
};

static int64_t now_ms(void *context)
{
    struct timespec now;

    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct rpc_clock rpc_target_clock(void)
{
    return (struct rpc_clock){.now_ms = now_ms};
}

rpc_target *rpc_target_new(const struct rpc_channel_options *options, struct rpc_backoff backoff)
{
    rpc_target *target = calloc(1, sizeof *target);

    if (target != NULL)
        *target = (struct rpc_target){.options = *options, .backoff = backoff};
    return target;
}

void rpc_target_free(rpc_target *target)
{
    if (target == NULL)
        return;
    rpc_channel_close(target->channel);
    free(target);
}

/* False: cancelled. */
static bool wait_until(const rpc_target *target, int64_t due_ms)
{
    const struct rpc_channel_options *options = &target->options;

    for (int64_t left_ms; (left_ms = due_ms - now_ms(NULL)) > 0;) {
        int64_t step_ms = left_ms < WAIT_STEP_MS ? left_ms : WAIT_STEP_MS;
        struct timespec step = {.tv_nsec = step_ms * 1000000};

        if (options->cancelled != NULL && options->cancelled(options->context))
            return false;
        nanosleep(&step, NULL);
    }
    return true;
}

/* A connection that takes calls, or NULL: target->failure says why. Between
 * back-offs it fails at once. */
static rpc_conn *connection(rpc_target *target)
{
    if (target->channel != NULL)
        rpc_channel_poll(target->channel);
    if (target->channel != NULL && rpc_conn_takes_calls(rpc_channel_conn(target->channel)))
        return rpc_channel_conn(target->channel);
    rpc_channel_close(target->channel);
    target->channel = NULL;
    if (now_ms(NULL) < target->connect_due_ms)
        return NULL;
    target->failure = rpc_channel_open(&target->options, &target->channel);
    if (rpc_ok(&target->failure)) {
        rpc_backoff_reset(&target->backoff);
        return rpc_channel_conn(target->channel);
    }
    target->connect_due_ms = now_ms(NULL) + rpc_backoff_next_ms(&target->backoff);
    return NULL;
}

static bool needs_attention(void *context)
{
    const rpc_retry *retry = context;

    return rpc_retry_over(retry) || rpc_retry_due_ms(retry) >= 0;
}

static void attempt(rpc_target *target, rpc_retry *retry)
{
    rpc_conn *conn = connection(target);

    if (conn != NULL)
        rpc_retry_attempt(retry, conn);
    else
        rpc_retry_no_connection(retry, &target->failure, target->connect_due_ms);
}

void rpc_target_run(rpc_target *target, rpc_retry *retry)
{
    while (!rpc_retry_over(retry)) {
        int64_t due_ms = rpc_retry_due_ms(retry);

        if (due_ms >= 0 && !wait_until(target, due_ms)) {
            rpc_retry_cancel(retry);
        } else if (due_ms >= 0) {
            attempt(target, retry);
        } else {
            struct rpc_status status = rpc_channel_run(target->channel, needs_attention, retry);
            if (status.code == RPC_CANCELLED)
                rpc_retry_cancel(retry);
        }
    }
}
