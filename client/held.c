/* SPDX-License-Identifier: Apache-2.0 */
#include "held.h"

#include "schema.h"

struct walking {
    struct store *store;
    const struct held_walk *walk;
    struct image image;
};

static bool show(struct walking *walking, struct held_copy *copy)
{
    struct image *image = &walking->image;
    uint64_t told = image->stamp;

    copy->image = image;
    if (!image->oversize) {
        image_stamp(image, walking->store->hasher);
        copy->true_stamp = image->stamp;
        image->stamp = told;
    }
    return walking->walk->visit(walking->walk->context, copy);
}

/* A clean row is its own copy. */
static bool each_row(struct walking *walking, struct store_table *table)
{
    struct store *store = walking->store;
    sqlite3_stmt *rows = schema_statement(store, table, TABLE_ALL);
    int key_column = (int)table->type->field_count + 3;
    bool good = true;

    while (good && store_step(store, rows) == STORE_ROW) {
        struct held_copy copy = {.key = schema_column_key(rows, key_column, table->type),
                                 .table = table->type->table};
        int64_t generation;
        good = image_pending(store, &copy.key, &copy.pending, &generation);
        if (!good || copy.pending)
            continue;
        good = image_read_columns(&walking->image, rows, table->type)
                   ? show(walking, &copy)
                   : store_fail(store, OUTPOST_IO, "no memory");
    }
    sqlite3_reset(rows);
    return good && store_ok(store);
}

/* A pending record may have no row, so they are found by their marks. */
static bool each_pending(struct walking *walking)
{
    struct store *store = walking->store;
    sqlite3_stmt *marks = store_statement(store, STORE_PENDING_ALL);
    bool good = true;

    while (good && store_step(store, marks) == STORE_ROW) {
        struct held_copy copy = {.key = {.type = (uint32_t)sqlite3_column_int64(marks, 0),
                                         .family = store_column_uuid(marks, 1),
                                         .id = store_column_uuid(marks, 2)},
                                 .pending = true};
        const struct store_table *table = store_table(store, copy.key.type);
        if (table == NULL)
            continue;
        copy.table = table->type->table;
        good = image_read_held(store, &copy.key, &walking->image) &&
               (!walking->image.present || show(walking, &copy));
    }
    sqlite3_reset(marks);
    return good && store_ok(store);
}

static bool each_unknown(struct walking *walking)
{
    struct store *store = walking->store;
    sqlite3_stmt *records = store_statement(store, STORE_UNKNOWN_ALL);
    bool good = true;

    while (good && store_step(store, records) == STORE_ROW) {
        struct held_copy copy = {.key = {.type = (uint32_t)sqlite3_column_int64(records, 0),
                                         .family = store_column_uuid(records, 1),
                                         .id = store_column_uuid(records, 2)},
                                 .table = "outpost_unknown_record"};
        good = image_read_unknown(store, &copy.key, &walking->image) && show(walking, &copy);
    }
    sqlite3_reset(records);
    return good && store_ok(store);
}

bool held_each(struct store *store, const struct held_walk *walk)
{
    struct walking walking = {.store = store, .walk = walk};
    bool good = true;

    image_init(&walking.image);
    for (size_t i = 0; good && i < store->schema->type_count; i++)
        good = each_row(&walking, &store->tables[i]);
    good = good && each_pending(&walking) && each_unknown(&walking);
    image_deinit(&walking.image);
    return good;
}

bool held_is_damaged(const struct held_copy *copy)
{
    return copy->image->oversize || copy->image->stamp != copy->true_stamp;
}

void held_count(const struct held_copy *copy, struct store_sum sums[CLASS_COUNT])
{
    struct store_sum *sum = &sums[store_class_of(&copy->key)];

    if (copy->image->deleted || copy->true_stamp == 0)
        return;
    sum->records++;
    sum->digest += record_digest_share(copy->key.type, &copy->key.id, copy->true_stamp);
}
