/* SPDX-License-Identifier: Apache-2.0 */
#include "server_end.h"

#include "crash_disk.h"
#include "failing_memory.h"
#include "values.h"

#include "outpost/v1/schema.gen.h"

#include <stdio.h>
#include <stdlib.h>

enum { RECORDED_AT = 18, PIN_CODE = 13 };

/* ---- The schema ------------------------------------------------------------------- */

/* The rules that no field of the product has yet are tried on two that have none. */
static bool make_schema(struct server_end *end)
{
    const struct record_schema *from = &outpost_v1_schema;
    const struct record_type *patient = record_root_type(from);

    end->types = calloc(from->type_count, sizeof *end->types);
    end->patient = calloc(patient->field_count, sizeof *end->patient);
    if (end->types == NULL || end->patient == NULL)
        return false;
    memcpy(end->types, from->types, from->type_count * sizeof *end->types);
    memcpy(end->patient, patient->fields, patient->field_count * sizeof *end->patient);
    for (size_t i = 0; i < patient->field_count; i++) {
        if (end->patient[i].number == RECORDED_AT)
            end->patient[i].merge = RECORD_MERGE_MAXIMUM;
        if (end->patient[i].number == PIN_CODE)
            end->patient[i].merge = RECORD_MERGE_ONE_WAY;
    }
    end->types[patient - from->types].fields = end->patient;
    end->schema = *from;
    end->schema.types = end->types;
    return true;
}

/* ---- Time and luck ------------------------------------------------------------------ */

static int64_t time_ms(void *context)
{
    const struct server_end *end = context;

    return *end->now_ms + end->clock_offset_ms;
}

static void random_bytes(void *context, uint8_t *bytes, size_t len)
{
    struct server_end *end = context;

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)crash_random(&end->luck);
}

static struct store_step next_step(void *context, const struct store_waiting *waiting)
{
    struct server_end *end = context;
    size_t writes =
        waiting->writes < STORE_STEP_WRITES_MAX ? waiting->writes : STORE_STEP_WRITES_MAX;
    size_t kinds = (writes > 0) + (waiting->reads > 0) + (waiting->completed > 0);

    end->asked = true;
    size_t kind = (size_t)crash_random_below(&end->luck, kinds);

    if (writes > 0 && kind-- == 0)
        return (struct store_step){STORE_STEP_WRITES,
                                   1 + (size_t)crash_random_below(&end->luck, writes)};
    if (waiting->reads > 0 && kind-- == 0)
        return (struct store_step){STORE_STEP_READ,
                                   (size_t)crash_random_below(&end->luck, waiting->reads)};
    return (struct store_step){STORE_STEP_TELL,
                               1 + (size_t)crash_random_below(&end->luck, waiting->completed)};
}

/* ---- Life ----------------------------------------------------------------------------- */

bool server_end_init(struct server_end *end, const char *path, const int64_t *now_ms)
{
    *end = (struct server_end){.path = path, .now_ms = now_ms, .hasher = record_hasher_new()};
    if (end->hasher == NULL || !make_schema(end) ||
        !scope_roles_find(&end->schema, &end->service.roles))
        return false;
    settings_init_default(&end->service.settings);
    end->service.hasher = end->hasher;
    end->service.time_ms = time_ms;
    end->service.random = random_bytes;
    end->service.context = end;
    return true;
}

void server_end_deinit(struct server_end *end)
{
    server_end_stop(end);
    record_hasher_free(end->hasher);
    free(end->types);
    free(end->patient);
}

struct store_steps server_end_steps(struct server_end *end)
{
    return (struct store_steps){next_step, end};
}

bool server_end_start(struct server_end *end, const struct split_options *split)
{
    struct store_options options = {.roles = end->service.roles};
    struct store_steps steps = server_end_steps(end);
    struct rpc_status status =
        split != NULL ? split_store_open(end->path, &options, &steps, split, &end->store)
                      : store_sqlite_open_stepped(end->path, false, &options, &steps, &end->store);

    end->splits = split != NULL;
    snprintf(end->error, sizeof end->error, "%s", rpc_ok(&status) ? "" : status.message);
    end->service.store = end->store;
    if (rpc_ok(&status) && !watch_open(&end->watch, end->path))
        watch_close(&end->watch); /* a failing disk: it is looked at again after a restart */
    return rpc_ok(&status);
}

void server_end_stop(struct server_end *end)
{
    watch_close(&end->watch);
    if (end->store != NULL && end->splits) {
        struct split_counts counts = split_store_counts(end->store);
        end->split.late += counts.late;
        end->split.waited += counts.waited;
        end->split.busy += counts.busy;
    }
    store_close(end->store);
    end->store = end->service.store = NULL;
}

uint64_t server_end_head(struct server_end *end, const struct record_uuid *region_id)
{
    uint64_t head = 0;

    if (end->splits && end->store != NULL && split_store_is_late(end->store, region_id, &head))
        return head;
    return watch_head(&end->watch, region_id);
}

bool server_end_step(struct server_end *end)
{
    end->asked = false;
    if (end->store != NULL) {
        failing_memory_enter();
        store_drain(end->store);
        failing_memory_leave();
    }
    return end->asked;
}

bool server_end_add_device(struct server_end *end, const struct store_device *device)
{
    struct store_device_add add = {.request = {.kind = STORE_DEVICE_ADD}, .device = *device};
    struct rpc_status status = store_run(end->store, &add.request);

    return rpc_ok(&status);
}

bool server_end_recertify(struct server_end *end, const struct record_uuid *copied_from,
                          const struct record_uuid *device_id, const uint8_t token[TOKEN_LEN])
{
    struct store_recertify recertify = {
        .request = {.kind = STORE_RECERTIFY},
        .device = {.device_id = *device_id,
                   .copied_from = *copied_from,
                   .enrolled_at_ms = time_ms(end),
                   .public_key_len = RECORD_UUID_LEN},
    };

    memcpy(recertify.presented_token, token, TOKEN_LEN);
    memcpy(recertify.device.public_key, device_id->bytes, RECORD_UUID_LEN);
    struct rpc_status status = store_run(end->store, &recertify.request);
    return rpc_ok(&status) && recertify.verdict == STORE_RECERTIFY_GOOD;
}
