/* SPDX-License-Identifier: Apache-2.0 */
#include "pace.h"

static void set(struct pace *pace, uint64_t bytes)
{
    if (bytes < PACE_BYTES_MIN)
        bytes = PACE_BYTES_MIN;
    pace->bytes = bytes < pace->most ? (uint32_t)bytes : pace->most;
}

void pace_start(struct pace *pace, uint32_t learned, uint32_t most)
{
    *pace = (struct pace){.most = most};
    set(pace, learned > 0 ? learned : most);
}

void pace_set_most(struct pace *pace, uint32_t most)
{
    bool at_most = pace->bytes == pace->most;

    pace->most = most;
    set(pace, at_most ? most : pace->bytes);
}

void pace_begins(struct pace *pace, int64_t now_ms)
{
    if (!pace->under_way)
        pace->since_ms = now_ms;
    pace->under_way = true;
}

void pace_passed(struct pace *pace, size_t len, int64_t now_ms, bool more)
{
    int64_t elapsed_ms = now_ms - pace->since_ms;

    if (pace->under_way && elapsed_ms > PACE_SLOW_MS)
        set(pace, pace->bytes / 2);
    else if (pace->under_way && elapsed_ms < PACE_FAST_MS && len >= pace->bytes / 2)
        set(pace, (uint64_t)pace->bytes * 2);
    pace->since_ms = now_ms;
    pace->under_way = more;
}

void pace_rests(struct pace *pace)
{
    pace->under_way = false;
}

void pace_broke(struct pace *pace)
{
    if (pace->under_way)
        set(pace, pace->bytes / 4);
    pace->under_way = false;
}
