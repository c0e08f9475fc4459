/* SPDX-License-Identifier: Apache-2.0
 *
 * Proof without a network that what is here is what the server sent (I13): every
 * stamp is recomputed from the content beside it, every digest from the stamps,
 * and the digests are compared with the kept sums and with the last CaughtUp.
 */
#include "device.h"

#include "image.h"
#include "pull.h"
#include "schema.h"
#include "wipe.h"

#include <stdio.h>

struct verification {
    struct store *store;
    struct outpost_verify_result result;
    struct store_sum sums[CLASS_COUNT];
    struct image image;
};

/* One held copy: does its stamp tell its content? */
static void look_at(struct verification *verification, const struct record_key *key,
                    const char *table)
{
    struct image *image = &verification->image;
    uint64_t told = image->stamp;
    struct store_sum *sum = &verification->sums[store_class_of(key)];
    char id[RECORD_UUID_TEXT_LEN + 1];

    verification->result.records++;
    if (!image->oversize)
        image_stamp(image, verification->store->hasher);
    if (image->oversize || image->stamp != told) {
        if (verification->result.damaged++ == 0) {
            record_uuid_format(&key->id, id);
            snprintf(verification->result.first, sizeof verification->result.first, "%s %s", table,
                     id);
        }
    }
    if (!image->deleted) {
        sum->records++;
        sum->digest += record_digest_share(key->type, &key->id, image->stamp);
    }
}

/* The rows of one table: a clean one is its own held copy, of a pending one the
 * copy lies elsewhere. A pending record without a row is found by its mark. */
static bool look_at_rows(struct verification *verification, struct store_table *table)
{
    struct store *store = verification->store;
    sqlite3_stmt *rows = schema_statement(store, table, TABLE_ALL);
    int key_column = (int)table->type->field_count + 3;
    enum store_step step;

    while ((step = store_step(store, rows)) == STORE_ROW) {
        struct record_key key = schema_column_key(rows, key_column, table->type);
        int64_t generation;
        bool pending;
        if (!image_pending(store, &key, &pending, &generation))
            break;
        if (pending)
            continue;
        image_read_columns(&verification->image, rows, table->type);
        look_at(verification, &key, table->type->table);
    }
    sqlite3_reset(rows);
    return store_ok(store);
}

static bool look_at_pending(struct verification *verification)
{
    struct store *store = verification->store;
    sqlite3_stmt *marks = store_statement(store, STORE_PENDING_ALL);
    enum store_step step;

    while ((step = store_step(store, marks)) == STORE_ROW) {
        struct record_key key = {.type = (uint32_t)sqlite3_column_int64(marks, 0),
                                 .family = store_column_uuid(marks, 1),
                                 .id = store_column_uuid(marks, 2)};
        const struct store_table *table = store_table(store, key.type);
        if (table == NULL)
            continue;
        if (!image_read_held(store, &key, &verification->image))
            break;
        if (verification->image.present)
            look_at(verification, &key, table->type->table);
    }
    sqlite3_reset(marks);
    return store_ok(store);
}

static bool look_at_unknown(struct verification *verification)
{
    struct store *store = verification->store;
    sqlite3_stmt *records = store_statement(store, STORE_UNKNOWN_ALL);
    enum store_step step;

    while ((step = store_step(store, records)) == STORE_ROW) {
        struct record_key key = {.type = (uint32_t)sqlite3_column_int64(records, 0),
                                 .family = store_column_uuid(records, 1),
                                 .id = store_column_uuid(records, 2)};
        if (!image_read_unknown(store, &key, &verification->image))
            break;
        look_at(verification, &key, "outpost_unknown_record");
    }
    sqlite3_reset(records);
    return store_ok(store);
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
    struct device_state state;
    bool good;

    device_state_init(&state);
    good =
        store_execute(store, "BEGIN") && store_load_sums(store) && device_state_load(store, &state);
    for (size_t i = 0; good && i < store->schema->type_count; i++)
        good = look_at_rows(verification, &store->tables[i]);
    good = good && look_at_pending(verification) && look_at_unknown(verification) &&
           compare_regions(verification, state.caught_up);
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    device_state_deinit(&state);
    return good;
}

struct outpost_status outpost_verify(outpost *device, struct outpost_verify_result *result_out)
{
    struct store *store = &device->store;
    struct verification verification = {.store = store};

    image_init(&verification.image);
    if (wipe_allows(store) && run(&verification) &&
        (verification.result.damaged > 0 || verification.result.regions > 0))
        store_fail(store, OUTPOST_BAD_INPUT,
                   "%llu of %llu records are not what their stamps say%s%s, %llu digests differ: "
                   "restore a backup, or sync into a new file",
                   (unsigned long long)verification.result.damaged,
                   (unsigned long long)verification.result.records,
                   verification.result.damaged > 0 ? "; the first is " : "",
                   verification.result.first, (unsigned long long)verification.result.regions);
    *result_out = verification.result;
    image_deinit(&verification.image);
    return device_status(device);
}
