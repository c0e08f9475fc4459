/* SPDX-License-Identifier: Apache-2.0 */
#include "relearn.h"

#include "image.h"
#include "schema.h"

/* Reads each row, or base image, and writes it, so that each value goes where it belongs
 * by now. column: where the keys begin in the statement's rows. A value that fits no
 * place, because a text is in it that is too large, stays as it is. */
static bool rewrite(struct store *store, struct store_table *table, enum table_statement which,
                    int column)
{
    bool base = which == BASE_UNKNOWN || which == BASE_ALL;
    sqlite3_stmt *keys = schema_statement(store, table, which);
    struct image image;
    bool good = true;

    image_init(&image);
    while (good && store_step(store, keys) == STORE_ROW) {
        struct record_key key = schema_column_key(keys, column, table->type);
        good = base ? image_read_base(store, &key, &image) : image_read_row(store, &key, &image);
        if (good && !image.oversize)
            good =
                base ? image_write_base(store, &key, &image) : image_write_row(store, &key, &image);
    }
    sqlite3_reset(keys);
    image_deinit(&image);
    return store_ok(store);
}

static bool relearn_fields(struct store *store, struct store_table *table)
{
    return rewrite(store, table, TABLE_UNKNOWN, 0) && rewrite(store, table, BASE_UNKNOWN, 0);
}

bool relearn_places(struct store *store, struct store_table *table)
{
    int column = (int)table->type->field_count + 3;

    return rewrite(store, table, TABLE_ALL, column) && rewrite(store, table, BASE_ALL, column);
}

static bool relearn_records(struct store *store, const struct record_type *type)
{
    struct image image;
    bool good = true;

    image_init(&image);
    while (good) {
        sqlite3_stmt *next = store_statement(store, STORE_UNKNOWN_OF_TYPE);
        if (next != NULL)
            sqlite3_bind_int64(next, 1, type->number);
        if (store_step(store, next) != STORE_ROW)
            break;
        struct record_key key = {.type = type->number,
                                 .family = store_column_uuid(next, 0),
                                 .id = store_column_uuid(next, 1)};
        sqlite3_reset(next);
        good = image_read_unknown(store, &key, &image) && image_delete_unknown(store, &key) &&
               (!schema_key_fits(type, &key) || image_write_row(store, &key, &image));
    }
    image_deinit(&image);
    return store_ok(store);
}

bool relearn(struct store *store)
{
    if (!store_begin(store, STORE_FULL))
        return false;
    for (size_t i = 0; i < store->schema->type_count; i++) {
        struct store_table *table = &store->tables[i];
        if (!relearn_records(store, table->type) || !relearn_fields(store, table))
            return false;
    }
    sqlite3_stmt *done = store_statement(store, STORE_STATE_SCHEMA_SET);
    if (done != NULL)
        sqlite3_bind_int64(done, 1, store->schema->revision);
    return store_run(store, done) && store_commit(store);
}
