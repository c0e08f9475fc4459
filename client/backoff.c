/* SPDX-License-Identifier: Apache-2.0 */
#include "backoff.h"

int64_t backoff_next(struct backoff *backoff, uint32_t random)
{
    int64_t wait = backoff->next_ms > 0 ? backoff->next_ms : BACKOFF_FIRST_MS;
    int64_t fifth = wait / 5;

    backoff->next_ms = wait * 8 / 5;
    if (backoff->next_ms > BACKOFF_MOST_MS)
        backoff->next_ms = BACKOFF_MOST_MS;
    return wait - fifth + (int64_t)random % (2 * fifth + 1);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->next_ms = 0;
}
