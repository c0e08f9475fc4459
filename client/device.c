/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and closing a device, and what its statuses mean; see outpost.h.
 */
#include "device.h"

#include "outbox.h"
#include "schema.h"
#include "wipe.h"

#include "outpost/v1/schema.gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- Statuses ----------------------------------------------------------------------- */

const char *outpost_code_name(enum outpost_code code)
{
    static const char *const names[] = {
#define X(name, exit_code, meaning) #name,
        OUTPOST_CODES(X)
#undef X
    };

    return names[code];
}

int outpost_code_exit(enum outpost_code code)
{
    static const int exits[] = {
#define X(name, exit_code, meaning) exit_code,
        OUTPOST_CODES(X)
#undef X
    };

    return exits[code];
}

struct outpost_status device_status(struct outpost *device)
{
    return store_rollback(&device->store);
}

struct outpost_status device_status_of_call(const char *doing, const struct rpc_status *status)
{
    struct outpost_status result = {.code = OUTPOST_OK};
    const char *next = "";

    switch (rpc_code_advice(status->code)) {
    case RPC_ADVICE_NONE:
        /* CANCELLED by us is as good as a link that went away. */
        result.code = status->code == RPC_OK ? OUTPOST_OK : OUTPOST_TRY_LATER;
        next = "; try again later";
        break;
    case RPC_ADVICE_TRY_LATER:
        result.code = OUTPOST_TRY_LATER;
        next = "; try again later";
        break;
    case RPC_ADVICE_ASK:
    case RPC_ADVICE_ENROL:
        result.code = OUTPOST_DENIED;
        next = "; ask the administrator";
        break;
    case RPC_ADVICE_REPORT:
        result.code = OUTPOST_BUG;
        next = "; report it";
        break;
    }
    if (result.code != OUTPOST_OK)
        snprintf(result.message, sizeof result.message, "%s: %s (%s)%s", doing, status->message,
                 rpc_code_name(status->code), next);
    return result;
}

/* ---- Clocks: of the library, only this part asks for the time ---------------------------- */

static int64_t clock_ms(clockid_t which)
{
    struct timespec now;

    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t device_now_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t device_ticks_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

/* ---- Opening ------------------------------------------------------------------------------ */

void outpost_options_init_default(struct outpost_options *options)
{
    *options = (struct outpost_options){0};
}

/* A wipe that was interrupted goes on. That it cannot just now, because somebody else
 * reads, stops nobody from opening: everything but status and sync is denied. */
static bool go_on_wiping(struct store *store, bool *wiped_out)
{
    struct wipe wipe;

    if (!wipe_load(store, &wipe))
        return false;
    *wiped_out = wipe.ordered;
    if (wipe.ordered && !wipe.done && !wipe_finish(store))
        store_rollback(store);
    return true;
}

struct outpost_status outpost_check_wiped(outpost *device)
{
    (void)!wipe_allows(&device->store);
    return device_status(device);
}

struct outpost_status outpost_open(const struct outpost_options *options, outpost **outpost_out)
{
    const struct record_schema *schema =
        options->schema != NULL ? options->schema : &outpost_v1_schema;
    struct outpost *device = calloc(1, sizeof *device);
    struct outpost_status status = {.code = OUTPOST_IO, .message = "no memory"};
    bool wiped;

    if (device == NULL)
        return status;
    snprintf(device->app_version, sizeof device->app_version, "%s",
             options->app_version != NULL ? options->app_version : "");
    if (store_open(&device->store, options->path, options->create, schema) &&
        go_on_wiping(&device->store, &wiped) && (wiped || schema_ensure(&device->store))) {
        *outpost_out = device;
        status.code = OUTPOST_OK;
        status.message[0] = '\0';
        return status;
    }
    status = device_status(device);
    outpost_close(device);
    return status;
}

void outpost_close(outpost *device)
{
    if (device == NULL)
        return;
    store_close(&device->store);
    free(device);
}

struct outpost_status outpost_set_facility(outpost *device,
                                           const uint8_t facility_id[OUTPOST_ID_LEN])
{
    struct store *store = &device->store;
    struct outbox_options sealing = {.now_ms = device_now_ms()};
    struct device_state state;

    device_state_init(&state);
    if (wipe_allows(store) && device_state_load(store, &state) && !state.enrolled)
        store_fail(store, OUTPOST_DENIED, "this database is not enrolled: run outpost init");
    sealing.facility_id = state.facility_id;
    device_state_deinit(&state);
    /* What was entered so far was entered at the facility that is left. */
    if (store_ok(store) && outbox_seal(store, &sealing) && store_begin(store, STORE_FULL) &&
        store_put_bytes(store, STORE_STATE_FACILITY_SET,
                        rpc_bytes_view(facility_id, OUTPOST_ID_LEN)))
        (void)!store_commit(store);
    return device_status(device);
}
