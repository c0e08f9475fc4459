/* SPDX-License-Identifier: Apache-2.0
 *
 * What is the same for every engine: waiting, and the ends of results.
 */
#include "store.h"

#include "push_set.h"

#include <stdlib.h>

void store_close(struct store *store)
{
    if (store != NULL)
        store->engine->close(store);
}

bool store_is_write(enum store_kind kind)
{
    switch (kind) {
    case STORE_PUSH:
    case STORE_CAUGHT_UP:
    case STORE_ENROL:
    case STORE_RECERTIFY:
    case STORE_CODE_ADD:
    case STORE_DEVICE_CHANGE:
    case STORE_SETTING_SET:
    case STORE_ROLLOUT_CHANGE:
    case STORE_ROLLOUT_REVIEW:
    case STORE_SYNC_NOTE:
    case STORE_QUARANTINE_RETRY:
    case STORE_QUARANTINE_DISCARD:
    case STORE_CONFLICT_RESOLVE:
    case STORE_DEVICE_ADD:
        return true;
    default:
        return false;
    }
}

struct store_place store_place_in(struct push_set *set, const struct record_uuid *region_id)
{
    bool added = false;
    const struct push_region *region = push_set_region(set, region_id, &added);
    struct store_place place = {0};

    if (region != NULL) {
        place.seq = region->last_seq;
        memcpy(place.hash, region->last_hash, STORE_HASH_LEN);
    }
    return place;
}

struct rpc_status store_note(const struct store_options *options,
                             const struct store_request *request)
{
    const struct store_enrol *enrol = (const struct store_enrol *)request;
    const struct store_device_change *change = (const struct store_device_change *)request;
    const struct store_recertify *recertify = (const struct store_recertify *)request;
    struct store_note note = {0};

    if (request->kind == STORE_ENROL && enrol->verdict == STORE_CODE_GOOD)
        note = (struct store_note){&enrol->device, enrol->selector};
    else if (request->kind == STORE_RECERTIFY && recertify->verdict == STORE_RECERTIFY_GOOD)
        note.device = &recertify->device; /* again, when it is asked again: the line may lack */
    else if (request->kind == STORE_DEVICE_CHANGE && change->found &&
             change->outcome == STANDING_CHANGED)
        note.device = &change->device;
    return note.device != NULL && options->note != NULL
               ? options->note(options->note_context, &note)
               : rpc_status_ok();
}

static void run_done(struct store_request *request)
{
    *(bool *)request->owner = true;
}

struct rpc_status store_run(struct store *store, struct store_request *request)
{
    bool done = false;

    request->done = run_done;
    request->owner = &done;
    store_submit(store, request);
    while (!done) {
        store->engine->wait(store);
        store_drain(store);
    }
    return request->status;
}

void store_page_deinit(struct store_page *page)
{
    rpc_buffer_deinit(&page->encoded);
    rpc_buffer_deinit(&page->markers);
    free(page->rows);
    free(page->entered);
    page->rows = NULL;
    page->entered = NULL;
}

void store_heads_deinit(struct store_heads *heads)
{
    free(heads->heads);
    heads->heads = NULL;
    heads->head_count = 0;
}
