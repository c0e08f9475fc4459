/* SPDX-License-Identifier: Apache-2.0
 *
 * The soak cases: large_unary over and over, on one channel or each on its own.
 */
#include "interop_case_parts.h"

#include <stdio.h>
#include <time.h>

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void wait_until_ms(int64_t until_ms)
{
    int64_t left_ms = until_ms - now_ms();
    struct timespec wait = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};

    if (left_ms > 0)
        nanosleep(&wait, NULL);
}

/* On the given channel, or on one of its own. */
static bool iterate(rpc_channel *shared, const struct rpc_channel_options *options)
{
    rpc_channel *channel = shared;

    if (shared == NULL) {
        struct rpc_status status = rpc_channel_open(options, &channel);
        if (!rpc_ok(&status))
            return interop_check(false, status.message);
    }
    bool passed = interop_large_unary(channel);
    if (shared == NULL)
        rpc_channel_close(channel);
    return passed;
}

static bool soak(rpc_channel *shared, const struct rpc_channel_options *options,
                 const struct interop_flags *flags)
{
    int64_t until_ms = now_ms() + (int64_t)flags->soak_overall_timeout_seconds * 1000;
    unsigned failures = 0;
    unsigned done = 0;
    int64_t slowest_ms = 0;

    for (; done < flags->soak_iterations && now_ms() < until_ms; done++) {
        int64_t begun_ms = now_ms();
        bool passed = iterate(shared, options);
        int64_t took_ms = now_ms() - begun_ms;

        if (took_ms > slowest_ms)
            slowest_ms = took_ms;
        failures += !passed || took_ms > flags->soak_per_iteration_max_acceptable_latency_ms;
        wait_until_ms(begun_ms + flags->soak_min_time_ms_between_rpcs);
    }
    fprintf(stderr, "  soak: %u of %u iterations, %u failures, slowest %lld ms\n", done,
            flags->soak_iterations, failures, (long long)slowest_ms);
    return interop_check(done == flags->soak_iterations, "the overall timeout came first") &
           interop_check(failures <= flags->soak_max_failures, "too many failures");
}

bool interop_rpc_soak(rpc_channel *channel, const struct rpc_channel_options *options,
                      const struct interop_flags *flags)
{
    return soak(channel, options, flags);
}

bool interop_channel_soak(rpc_channel *channel, const struct rpc_channel_options *options,
                          const struct interop_flags *flags)
{
    (void)channel;
    return soak(NULL, options, flags);
}
