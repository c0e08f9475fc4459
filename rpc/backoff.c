/* SPDX-License-Identifier: Apache-2.0 */
#include "outpost/rpc_backoff.h"

#include <assert.h>

enum { PERCENT = 100 };

void rpc_backoff_init_default(struct rpc_backoff *backoff, struct rpc_random random)
{
    *backoff = (struct rpc_backoff){
        .initial_ms = 1000,
        .max_ms = 120 * 1000,
        .growth_percent = 160,
        .jitter_percent = 20,
        .random = random,
    };
}

int64_t rpc_backoff_next_ms(struct rpc_backoff *backoff)
{
    int64_t base_ms = backoff->base_ms > 0 ? backoff->base_ms * backoff->growth_percent / PERCENT
                                           : backoff->initial_ms;

    assert(backoff->growth_percent >= PERCENT && backoff->jitter_percent <= PERCENT);
    backoff->base_ms = base_ms < backoff->max_ms ? base_ms : backoff->max_ms;
    int64_t range_ms = backoff->base_ms * backoff->jitter_percent / PERCENT;
    if (backoff->random.next == NULL || range_ms == 0)
        return backoff->base_ms;
    uint64_t random = backoff->random.next(backoff->random.context);
    return backoff->base_ms - range_ms + (int64_t)(random % (2 * (uint64_t)range_ms + 1));
}

void rpc_backoff_reset(struct rpc_backoff *backoff)
{
    backoff->base_ms = 0;
}
