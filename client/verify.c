/* SPDX-License-Identifier: Apache-2.0
 *
 * Proof without a network that what is here is what the server sent (I13): every
 * stamp is recomputed from the content beside it, every digest from the stamps,
 * and the digests are compared with the kept sums and with the last CaughtUp.
 */
#include "device.h"

#include "held.h"
#include "pull.h"
#include "repair.h"
#include "wipe.h"

#include <stdio.h>

struct verification {
    struct store *store;
    struct outpost_verify_result result;
    struct store_sum sums[CLASS_COUNT];
};

static bool look_at(void *context, const struct held_copy *copy)
{
    struct verification *verification = context;
    char id[RECORD_UUID_TEXT_LEN + 1];

    verification->result.records++;
    if (held_is_damaged(copy) && verification->result.damaged++ == 0) {
        record_uuid_format(&copy->key.id, id);
        snprintf(verification->result.first, sizeof verification->result.first, "%s %s",
                 copy->table, id);
    }
    held_count(copy, verification->sums);
    return true;
}

static bool same_sum(const struct store_sum *a, const struct store_sum *b)
{
    return a->records == b->records && a->digest == b->digest;
}

static bool compare_regions(struct verification *verification, bool caught_up)
{
    struct store *store = verification->store;
    sqlite3_stmt *regions = store_statement(store, STORE_REGION_ALL);
    struct outpost_verify_result *result = &verification->result;
    uint64_t families = 0, family_mismatches = 0;
    enum store_step step;

    for (int class = 0; class < CLASS_COUNT; class ++)
        result->regions += !same_sum(&verification->sums[class], &store->sums[class]);
    if (result->regions > 0 || !caught_up)
        return store_ok(store);
    while ((step = store_step(store, regions)) == STORE_ROW) {
        struct record_uuid id = store_column_uuid(regions, 0);
        bool agrees = pull_region_agrees(store, &id, (uint64_t)sqlite3_column_int64(regions, 2),
                                         (uint64_t)sqlite3_column_int64(regions, 3));
        result->compared = true;
        if (record_uuid_is_zero(&id))
            result->regions += !agrees;
        else {
            families++;
            family_mismatches += !agrees;
        }
    }
    result->regions += families == 1 ? family_mismatches : 0;
    return store_ok(store);
}

static bool run(struct verification *verification)
{
    struct store *store = verification->store;
    const struct held_walk walk = {look_at, verification};
    struct device_state state;
    bool good;

    device_state_init(&state);
    good = store_begin_read(store) && device_state_load(store, &state) && held_each(store, &walk) &&
           compare_regions(verification, state.caught_up);
    store_end_read(store);
    device_state_deinit(&state);
    return good;
}

struct outpost_status outpost_verify(outpost *device, struct outpost_verify_result *result_out)
{
    struct store *store = &device->store;
    struct verification verification = {.store = store};

    /* A damage that cannot be noted down is told all the same. */
    if (wipe_allows(store) && run(&verification) &&
        (verification.result.damaged > 0 || verification.result.regions > 0)) {
        (void)!repair_check_soon(store);
        store_rollback(store);
        store_fail(store, OUTPOST_BAD_INPUT,
                   "%llu of %llu records are not what their stamps say%s%s, %llu digests differ: "
                   "sync, which fetches anew what differs",
                   (unsigned long long)verification.result.damaged,
                   (unsigned long long)verification.result.records,
                   verification.result.damaged > 0 ? "; the first is " : "",
                   verification.result.first, (unsigned long long)verification.result.regions);
    }
    *result_out = verification.result;
    return device_status(device);
}
