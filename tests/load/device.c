/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include "sync.h"

#include <math.h>
#include <stdlib.h>

enum {
    PURPOSE_DEVICE = 20,
    PUSH_ITEMS_DEFAULT = 500,
    KEPT_BYTES_MAX = 4096,
    BACK_OFF_FIRST_MS = 500,
    BACK_OFF_DOUBLINGS_MAX = 6,
    /* A connection that is to break does so after so many bytes, handshake and all, times 1
     * to 64: each doubling as likely, so that small syncs meet it, and large ones midway. */
    CUT_BYTES_MIN = 500,
    CUT_DOUBLINGS = 6,
};

static void begin(struct device *device);

void device_init(struct device *device, struct fleet *fleet, uint32_t number)
{
    *device = (struct device){
        .fleet = fleet,
        .number = number,
        .push_items = PUSH_ITEMS_DEFAULT,
        .draw = draw_stream(fleet->seed, PURPOSE_DEVICE, number),
    };
    rpc_buffer_init(&device->cursor, KEPT_BYTES_MAX);
    rpc_buffer_init(&device->receipt, KEPT_BYTES_MAX);
}

static void free_visits(struct visit *visit)
{
    while (visit != NULL) {
        struct visit *next = visit->next;
        free(visit);
        visit = next;
    }
}

void device_deinit(struct device *device)
{
    free_visits(device->waiting);
    free_visits(device->riding);
    outbox_clear(&device->outbox, &device->fleet->pool);
    replica_clear(&device->replica, &device->fleet->pool);
    rpc_buffer_deinit(&device->cursor);
    rpc_buffer_deinit(&device->receipt);
    rpc_tls_free(device->tls);
}

/* ---- States ------------------------------------------------------------------------------ */

static void set_state(struct device *device, enum device_state state)
{
    static const uint8_t legal[] = {
        [DEVICE_IDLE] = 1 << DEVICE_SYNCING,
        [DEVICE_SYNCING] = 1 << DEVICE_FOLLOWING | 1 << DEVICE_ENDING | 1 << DEVICE_SLEEPING,
        [DEVICE_FOLLOWING] = 1 << DEVICE_ENDING | 1 << DEVICE_SLEEPING,
        [DEVICE_ENDING] = 1 << DEVICE_IDLE | 1 << DEVICE_SLEEPING,
        [DEVICE_SLEEPING] = 1 << DEVICE_SYNCING,
    };
    static const bool open[] = {
        [DEVICE_SYNCING] = true, [DEVICE_ENDING] = true, [DEVICE_SLEEPING] = false};
    struct fleet *fleet = device->fleet;

    if ((legal[device->state] & 1 << state) == 0)
        abort();
    fleet->open_syncs += (uint32_t)(open[state] - open[device->state]);
    if (device->state == DEVICE_FOLLOWING)
        device_region(device)->following--;
    if (state == DEVICE_FOLLOWING)
        device_region(device)->following++;
    device->state = state;
}

static void sleep_a_while(struct device *device)
{
    unsigned doublings =
        device->failures < BACK_OFF_DOUBLINGS_MAX ? device->failures : BACK_OFF_DOUBLINGS_MAX;
    double ms = (double)(BACK_OFF_FIRST_MS << doublings) * (.5 + draw_unit(&device->draw));

    set_state(device, DEVICE_SLEEPING);
    device->failures++;
    device->wake_us = fleet_now_us() + (int64_t)(ms * 1000);
    device->sleeping_next = device->fleet->sleeping;
    device->fleet->sleeping = device;
}

void fleet_wake_sleepers(struct fleet *fleet)
{
    struct device **at = &fleet->sleeping;
    struct device *woken = NULL;
    int64_t now = fleet_now_us();

    while (*at != NULL) {
        struct device *device = *at;
        if (device->wake_us > now) {
            at = &device->sleeping_next;
            continue;
        }
        *at = device->sleeping_next;
        device->sleeping_next = woken;
        woken = device;
    }
    while (woken != NULL) {
        struct device *device = woken;
        woken = device->sleeping_next;
        begin(device);
    }
}

/* ---- Connections ------------------------------------------------------------------------- */

static void on_gone(void *context)
{
    struct device *device = context;

    device->connection = NULL;
}

/* The ticket of this connection shortens the next one's handshake. */
static void hang_up(struct device *device)
{
    if (device->connection == NULL)
        return;
    connection_close(device->connection);
    device->connection = NULL;
    rpc_tls_session_offer(device->tls, rpc_tls_session_view(device->tls));
}

static bool connect_device(struct device *device)
{
    static const struct link_quality near = {.name = "near"};
    const struct fleet *fleet = device->fleet;
    const struct link_quality *quality = fleet->shaped ? &fleet->links[device->link] : &near;
    struct connection_options options = {
        .tls = device->tls, .quality = quality, .on_gone = on_gone, .context = device};

    if (device->connection != NULL && !rpc_conn_takes_calls(connection_rpc(device->connection)))
        hang_up(device); /* the server goes away */
    if (device->connection != NULL)
        return true;
    if (fleet->measure->running && draw_chance(&device->draw, quality->cut))
        options.cut_after =
            (uint64_t)(CUT_BYTES_MIN * exp2(CUT_DOUBLINGS * draw_unit(&device->draw)));
    device->connection = connection_open(&device->fleet->dialer, &options);
    return device->connection != NULL;
}

void device_abandon(struct device *device)
{
    hang_up(device);
}

/* ---- A sync's beginning ------------------------------------------------------------------ */

static void board(struct device *device)
{
    struct visit **last = &device->riding;

    while (*last != NULL)
        last = &(*last)->next;
    *last = device->waiting;
    device->waiting = NULL;
}

static void begin(struct device *device)
{
    if (device->fresh_asked) {
        device->fresh_asked = false;
        replica_clear(&device->replica, &device->fleet->pool);
        rpc_buffer_clear(&device->cursor);
    }
    device->first_sync = device->cursor.len == 0;
    if (device->first_sync)
        device->snapshot_due = true;
    else if (device->snapshot_due)
        replica_forget_answered(&device->replica);
    board(device);
    device->started_us = fleet_now_us();
    set_state(device, DEVICE_SYNCING);
    if (connect_device(device) && sync_start(device))
        return;
    struct rpc_status status = rpc_status_make(RPC_UNAVAILABLE, "no connection");
    device_call_over(device, &status);
}

static void half_close(struct device *device)
{
    set_state(device, DEVICE_ENDING);
    rpc_call_half_close(device->call);
}

void device_sync(struct device *device)
{
    if (device->state == DEVICE_IDLE)
        begin(device);
    else if (device->state == DEVICE_FOLLOWING)
        half_close(device);
}

void device_visit(struct device *device, int64_t meant_us, enum work work)
{
    struct visit *visit = malloc(sizeof *visit);

    if (visit == NULL)
        abort();
    *visit = (struct visit){.next = device->waiting, .meant_us = meant_us, .work = work};
    device->waiting = visit;
    device->fresh_asked = device->fresh_asked || work == WORK_FIRST;
    device_sync(device);
}

void device_stop_following(struct device *device)
{
    device->follows = false;
    if (device->state == DEVICE_FOLLOWING)
        half_close(device);
}

/* ---- A sync's end -------------------------------------------------------------------------- */

static void count_sync(struct device *device)
{
    struct measure *measure = device->fleet->measure;
    int64_t now = fleet_now_us();

    for (const struct visit *visit = device->riding; visit != NULL && measure->running;
         visit = visit->next)
        measure_arrival(measure, visit->work, device->link, device->version,
                        (uint64_t)(now - visit->meant_us));
    free_visits(device->riding);
    device->riding = NULL;
    if (!measure->running)
        return;
    measure->syncs++;
    measure->now.syncs++;
    measure->first_syncs += device->first_sync;
    measure->links[device->link].syncs++;
    measure->versions[device->version].syncs++;
    histogram_record(&measure->service, (uint64_t)(now - device->started_us));
}

void device_caught_up(struct device *device)
{
    struct fleet *fleet = device->fleet;

    if (device->state != DEVICE_SYNCING)
        return; /* a follower's later ones */
    count_sync(device);
    device->failures = 0;
    if (!device->follows || device->waiting != NULL) {
        half_close(device);
        return;
    }
    set_state(device, DEVICE_FOLLOWING);
    device->first_sync = false;
    fleet->on_synced(fleet->context, device, true);
}

void device_call_over(struct device *device, const struct rpc_status *status)
{
    struct fleet *fleet = device->fleet;
    bool good = rpc_ok(status) && device->state == DEVICE_ENDING;

    device->call = NULL;
    if (!good && fleet->measure->running)
        measure_error(fleet->measure, rpc_ok(status) ? RPC_UNKNOWN : status->code, device->link,
                      device->version);
    if (!good || (!fleet->keep_connections && !device->follows))
        hang_up(device);
    if (!good) {
        sleep_a_while(device);
        fleet->on_synced(fleet->context, device, false);
        return;
    }
    set_state(device, DEVICE_IDLE);
    if (device->waiting != NULL || device->follows)
        begin(device);
    else
        fleet->on_synced(fleet->context, device, true);
}

uint64_t fleet_unfinished(const struct fleet *fleet)
{
    uint64_t count = 0;

    for (size_t i = 0; i < fleet->device_count; i++) {
        for (const struct visit *visit = fleet->devices[i].waiting; visit != NULL;
             visit = visit->next)
            count++;
        for (const struct visit *visit = fleet->devices[i].riding; visit != NULL;
             visit = visit->next)
            count++;
    }
    return count;
}
