/* SPDX-License-Identifier: Apache-2.0
 *
 * One UPDATE over all rows between the first key and the last; a function of the
 * connection's tells it which of them are meant, and the stamp of each; see settle.h.
 */
#include "settle.h"

#include "schema.h"

enum {
    /* Fewer are settled row by row. */
    TOGETHER_MIN = 16,
    /* Rows between the first and the last, for each that is meant: more are not read over. */
    ROWS_FOR_EACH = 2,
};

struct settle_list {
    const struct record_key *keys;
    const uint64_t *stamps;
    size_t count;
    size_t at; /* the key that was asked for last */
};

/* ---- The function ------------------------------------------------------------------ */

static bool is_at(const struct settle_list *list, size_t at, const struct record_key *key)
{
    return at < list->count && record_key_compare(&list->keys[at], key) == 0;
}

/* Rows come in the order of their keys: mostly it is the same or the next. */
static bool find(struct settle_list *list, const struct record_key *key)
{
    size_t low = 0, high = list->count;

    if (is_at(list, list->at, key))
        return true;
    if (is_at(list, list->at + 1, key)) {
        list->at++;
        return true;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (record_key_compare(&list->keys[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (!is_at(list, low, key))
        return false;
    list->at = low;
    return true;
}

static bool take_uuid(sqlite3_value *value, struct record_uuid *id_out)
{
    return sqlite3_value_type(value) == SQLITE_BLOB &&
           record_uuid_from_bytes(
               rpc_bytes_view(sqlite3_value_blob(value), (size_t)sqlite3_value_bytes(value)),
               id_out);
}

/* outpost_settled(family_id, id): the stamp, or NULL: not meant. */
static void settled(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    struct store *store = sqlite3_user_data(context);
    struct settle_list *list = store->settling;
    struct record_key key;

    (void)argc;
    if (list == NULL)
        return;
    key.type = list->keys[0].type;
    if (take_uuid(argv[0], &key.family) && take_uuid(argv[1], &key.id) && find(list, &key))
        sqlite3_result_int64(context, (sqlite3_int64)list->stamps[list->at]);
}

bool settle_register(struct store *store)
{
    return sqlite3_create_function(store->db, "outpost_settled", 2, SQLITE_UTF8, store, settled,
                                   NULL, NULL) == SQLITE_OK ||
           store_fail_sqlite(store, "setting up the connection");
}

/* ---- Rows ------------------------------------------------------------------------------ */

static sqlite3_stmt *over_rows(struct store *store, const struct settle_list *list,
                               enum table_statement which, int *index_out)
{
    struct store_table *table = store_table(store, list->keys[0].type);
    const struct record_key *last = &list->keys[list->count - 1];
    sqlite3_stmt *statement = schema_statement(store, table, which);

    if (statement == NULL)
        return NULL;
    *index_out = schema_bind_key(statement, table->type, &list->keys[0]);
    if (table->type->family == RECORD_FAMILY_MEMBER)
        store_bind_uuid(statement, (*index_out)++, &last->family);
    store_bind_uuid(statement, (*index_out)++, &last->id);
    return statement;
}

static bool lie_together(struct store *store, const struct settle_list *list, bool *together_out)
{
    int64_t most = (int64_t)list->count * ROWS_FOR_EACH;
    sqlite3_stmt *rows;
    int index = 0;

    *together_out = false;
    if (list->count < TOGETHER_MIN)
        return true;
    rows = over_rows(store, list, TABLE_COUNT_RUN, &index);
    if (rows != NULL)
        sqlite3_bind_int64(rows, index, most + 1);
    *together_out = store_step(store, rows) == STORE_ROW && sqlite3_column_int64(rows, 0) <= most;
    sqlite3_reset(rows);
    return store_ok(store);
}

/* all_out: false: not all of them have a row. */
static bool settle_together(struct store *store, struct settle_list *list, bool *all_out)
{
    sqlite3_stmt *settle;
    int index;
    bool good;

    *all_out = false;
    settle = over_rows(store, list, TABLE_SETTLE_RUN, &index);
    if (settle != NULL)
        sqlite3_bind_int64(settle, index, SETTLE_VERSION);
    store->settling = list;
    good = store_run(store, settle);
    store->settling = NULL;
    *all_out = good && (size_t)sqlite3_changes(store->db) == list->count;
    return good;
}

static bool settle_one(struct store *store, const struct record_key *key, uint64_t stamp,
                       bool *there_out)
{
    struct store_table *table = store_table(store, key->type);
    sqlite3_stmt *settle = schema_statement(store, table, TABLE_SETTLE);

    *there_out = false;
    if (settle == NULL)
        return false;
    int index = schema_bind_key(settle, table->type, key);
    sqlite3_bind_int64(settle, index, (sqlite3_int64)stamp);
    sqlite3_bind_int64(settle, index + 1, SETTLE_VERSION);
    if (!store_run(store, settle))
        return false;
    *there_out = sqlite3_changes(store->db) == 1;
    return true;
}

bool settle_rows(struct store *store, const struct record_key *keys, const uint64_t *stamps,
                 size_t count, size_t *settled_out)
{
    struct settle_list list = {.keys = keys, .stamps = stamps, .count = count};
    bool all = false, there = true;

    *settled_out = 0;
    if (!lie_together(store, &list, &all) || (all && !settle_together(store, &list, &all)))
        return false;
    for (size_t i = 0; i < count && there; i++) {
        if (!all && !settle_one(store, &keys[i], stamps[i], &there))
            return false;
        if (there) {
            store_sum_add(store, &keys[i], stamps[i]);
            ++*settled_out;
        }
    }
    return true;
}
