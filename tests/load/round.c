/* SPDX-License-Identifier: Apache-2.0
 *
 * A round: many devices sync, some at once, and the loop runs until all have. What the
 * phases before and after the load are made of.
 */
#include "run.h"

#include "device.h"

#include <stdlib.h>

enum { TICK_MS = 20 };

static void start_more(struct run *run)
{
    struct fleet *fleet = &run->fleet;

    while (run->next < fleet->device_count && fleet->open_syncs < RUN_QUIET_SYNCS) {
        struct device *device = &fleet->devices[run->next++];
        if (run->awaited[device->number])
            device_sync(device);
    }
}

void run_on_synced(void *context, struct device *device, bool caught_up)
{
    struct run *run = context;

    if (!caught_up || run->awaited == NULL || !run->awaited[device->number])
        return;
    run->awaited[device->number] = 0;
    run->awaited_count--;
    run->progress_us = fleet_now_us();
}

static void on_tick(uv_timer_t *timer)
{
    struct run *run = timer->data;

    fleet_wake_sleepers(&run->fleet);
    if (run->options->spawn && !server_runs(&run->server))
        run->check.ended_early = true;
}

/* Runs the loop while more says yes and some device comes to its end now and then. */
static void run_while(struct run *run, bool (*more)(struct run *run))
{
    uv_timer_t tick;

    run->progress_us = fleet_now_us();
    uv_timer_init(run->fleet.loop, &tick);
    tick.data = run;
    uv_timer_start(&tick, on_tick, TICK_MS, TICK_MS);
    while (more(run) && !run->check.ended_early &&
           run->fleet.interrupts == run->interrupts_before &&
           fleet_now_us() - run->progress_us < RUN_PATIENCE_MS * INT64_C(1000))
        uv_run(run->fleet.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(run->fleet.loop, UV_RUN_NOWAIT);
}

static bool is_busy(struct run *run)
{
    return run->fleet.open_syncs > 0;
}

bool run_rest(struct run *run)
{
    run_while(run, is_busy);
    return !is_busy(run);
}

static bool is_round_open(struct run *run)
{
    start_more(run);
    return run->awaited_count > 0;
}

bool run_round(struct run *run, bool (*wanted)(const struct device *device))
{
    struct fleet *fleet = &run->fleet;

    run->awaited = calloc(fleet->device_count, 1);
    if (run->awaited == NULL)
        abort();
    run->awaited_count = 0;
    run->next = 0;
    for (size_t i = 0; i < fleet->device_count; i++)
        run->awaited_count += run->awaited[i] = wanted(&fleet->devices[i]);
    run_while(run, is_round_open);
    free(run->awaited);
    run->awaited = NULL;
    return run->awaited_count == 0;
}
