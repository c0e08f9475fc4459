/* SPDX-License-Identifier: Apache-2.0
 *
 * The load itself. Open model: an arrival begins when the schedule says, whether the
 * server keeps up or not, and its latency counts from then; so a server that stalls is
 * charged for everybody who had to wait. Closed model: a fixed number of syncs, each
 * followed by another; it finds the throughput, and hides the waiting.
 */
#include "device.h"
#include "run.h"
#include "work.h"

#include <stdio.h>
#include <unistd.h>

enum {
    TICK_MS = 20,
    SECOND_MS = 1000,
    IDLE_SAMPLE_MS = 3000,
    /* Devices that the closed model looks at for one that is idle. */
    IDLE_TRIES = 64,
};

struct load {
    struct run *run;
    int64_t start_us, end_us;
    struct arrival next;
    bool more; /* next is one */
    bool over; /* no arrival begins any more */
    uv_timer_t arrivals, tick, second;
};

static struct process_sample server_sample(const struct run *run)
{
    return process_sample(run->server.pid, fleet_now_us());
}

static struct process_sample own_sample(void)
{
    return process_sample(getpid(), fleet_now_us());
}

/* ---- Arrivals -------------------------------------------------------------------------- */

static void arrive(struct run *run, const struct arrival *arrival, int64_t meant_us)
{
    struct measure *measure = run->fleet.measure;
    struct device *device = &run->fleet.devices[arrival->device];

    measure->arrivals++;
    measure->now.arrivals++;
    histogram_record(&measure->late, (uint64_t)(fleet_now_us() - meant_us));
    if (!work_do(device, arrival->work, arrival->seed, meant_us))
        measure->nothing_to_edit++;
    device_visit(device, meant_us, arrival->work);
}

static void on_arrivals(uv_timer_t *timer)
{
    struct load *load = timer->data;
    int64_t now_us = fleet_now_us();

    while (load->more && load->start_us + load->next.at_us <= now_us) {
        arrive(load->run, &load->next, load->start_us + load->next.at_us);
        load->more = schedule_next(&load->run->schedule, &load->next);
    }
    if (!load->more)
        return;
    int64_t left_us = load->start_us + load->next.at_us - fleet_now_us();
    uv_timer_start(timer, on_arrivals, left_us > 0 ? (uint64_t)(left_us + 999) / 1000 : 0, 0);
}

/* The closed model's next: the schedule's order, at the time that it happens. */
static void arrive_closed(struct run *run)
{
    struct arrival arrival = {0};
    int tries = 0;

    do
        schedule_draw(&run->schedule, &arrival);
    while (run->fleet.devices[arrival.device].state != DEVICE_IDLE && ++tries < IDLE_TRIES);
    arrive(run, &arrival, fleet_now_us());
}

static void fill_closed(struct load *load)
{
    const struct measure *measure = load->run->fleet.measure;

    while (!load->over && measure->arrivals - measure->latency.count < load->run->options->closed)
        arrive_closed(load->run);
}

/* ---- Time passes ------------------------------------------------------------------------- */

static void on_tick(uv_timer_t *timer)
{
    struct load *load = timer->data;

    fleet_wake_sleepers(&load->run->fleet);
    if (fleet_now_us() >= load->end_us && !load->more)
        load->over = true; /* every arrival has begun */
    if (load->run->fleet.interrupts > load->run->interrupts_before)
        load->over = load->run->interrupted = true;
}

static void end_second(struct load *load)
{
    struct run *run = load->run;
    struct measure *measure = run->fleet.measure;
    struct process_sample server = server_sample(run), own = own_sample();

    const struct measure_second last =
        measure_tick(measure, &run->fleet.dialer.bytes, &server, &own, run->fleet.open_syncs);
    run_say(run,
            "%4zu s  %5u arrivals  %5u syncs  p50 %7.1f ms  p99 %8.1f ms  %4u open  %u errors  "
            "server %.2f cores",
            measure->second_count, last.arrivals, last.syncs, (double)last.p50_us / 1e3,
            (double)last.p99_us / 1e3, last.open, last.errors, last.server_cpu);
}

static void on_second(uv_timer_t *timer)
{
    struct load *load = timer->data;
    struct run *run = load->run;

    end_second(load);
    if (run->options->spawn && !server_runs(&run->server)) {
        run->check.ended_early = true;
        load->over = true;
    }
}

/* ---- The phases ---------------------------------------------------------------------------- */

/* So that the loop comes back. */
static void on_nothing(uv_timer_t *timer)
{
    (void)timer;
}

/* What the followers alone cost, before anything is written. */
static void watch_idle(struct run *run)
{
    struct process_sample before = server_sample(run);
    int64_t until_us = fleet_now_us() + IDLE_SAMPLE_MS * INT64_C(1000);
    uv_timer_t timer;

    if (run->options->profile.kind != PROFILE_IDLE || !before.known)
        return;
    uv_timer_init(run->fleet.loop, &timer);
    uv_timer_start(&timer, on_nothing, TICK_MS, TICK_MS);
    while (fleet_now_us() < until_us)
        uv_run(run->fleet.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(run->fleet.loop, UV_RUN_NOWAIT);
    struct process_sample after = server_sample(run);
    run->idle_server_cores = process_cores(&before, &after);
}

static void start_timers(struct load *load)
{
    uv_loop_t *loop = load->run->fleet.loop;

    uv_timer_init(loop, &load->arrivals);
    uv_timer_init(loop, &load->tick);
    uv_timer_init(loop, &load->second);
    load->arrivals.data = load->tick.data = load->second.data = load;
    uv_timer_start(&load->tick, on_tick, TICK_MS, TICK_MS);
    uv_timer_start(&load->second, on_second, SECOND_MS, SECOND_MS);
}

static void stop_timers(struct load *load)
{
    uv_close((uv_handle_t *)&load->arrivals, NULL);
    uv_close((uv_handle_t *)&load->tick, NULL);
    uv_close((uv_handle_t *)&load->second, NULL);
    uv_run(load->run->fleet.loop, UV_RUN_NOWAIT);
}

/* All that began comes to its end, or its time is over. */
static void drain(struct load *load)
{
    struct run *run = load->run;
    int64_t until_us = fleet_now_us() + (int64_t)(run->options->drain_seconds * 1e6);

    run->interrupts_before = run->fleet.interrupts;
    while (fleet_unfinished(&run->fleet) > 0 && fleet_now_us() < until_us &&
           !run->check.ended_early && run->fleet.interrupts == run->interrupts_before)
        uv_run(run->fleet.loop, UV_RUN_ONCE);
}

void load_run(struct run *run)
{
    const struct options *options = run->options;
    struct measure *measure = run->fleet.measure;
    struct load load = {.run = run};

    watch_idle(run);
    run->busy_before = process_machine_load();
    schedule_init(&run->schedule,
                  &(struct schedule_options){.seed = options->seed,
                                             .profile = &options->profile,
                                             .poisson = options->poisson,
                                             .devices = (uint32_t)run->fleet.device_count});
    memcpy(run->schedule.options.shares, options->works, sizeof options->works);
    start_timers(&load);
    measure->running = true;
    run->server_start = measure->server_before = server_sample(run);
    run->own_start = measure->own_before = own_sample();
    measure->bytes_before = run->fleet.dialer.bytes;
    load.start_us = fleet_now_us();
    load.end_us = load.start_us + (int64_t)(options->profile.seconds * 1e6);
    if (options->closed == 0) {
        load.more = schedule_next(&run->schedule, &load.next);
        on_arrivals(&load.arrivals);
    }
    while (!load.over) {
        fill_closed(&load);
        uv_run(run->fleet.loop, UV_RUN_ONCE);
    }
    load.more = false;
    run->load_seconds = (double)(fleet_now_us() - load.start_us) / 1e6;
    run->server_end = server_sample(run);
    run->own_end = own_sample();
    run->busy_after = process_machine_load();
    drain(&load);
    end_second(&load);
    measure->unfinished = fleet_unfinished(&run->fleet);
    measure->running = false;
    stop_timers(&load);
}
