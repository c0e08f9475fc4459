/* SPDX-License-Identifier: Apache-2.0 */
#include "aside.h"

#include "resend.h"
#include "schema.h"

static bool put(struct store *store, const struct record_key *key, const struct image *image)
{
    sqlite3_stmt *statement = store_statement(store, STORE_ASIDE_PUT);

    store_bind_key(statement, key);
    if (statement != NULL) {
        sqlite3_bind_int64(statement, 4, (sqlite3_int64)image->version);
        sqlite3_bind_int(statement, 5, image->deleted);
        store_bind_bytes(statement, 6, rpc_buffer_view(&image->body));
    }
    return store_run(store, statement);
}

bool aside_keep(struct store *store, const struct record_key *key)
{
    struct image held;
    bool good;

    image_init(&held);
    good = store_table(store, key->type) != NULL ? image_read_held(store, key, &held)
                                                 : image_read_unknown(store, key, &held);
    if (good && held.present && held.version > 0)
        good = put(store, key, &held);
    image_deinit(&held);
    return good;
}

/* Keeps the copies whose keys the statement gives. */
static bool keep_all(struct store *store, sqlite3_stmt *statement)
{
    while (store_step(store, statement) == STORE_ROW) {
        struct record_key key = {.type = (uint32_t)sqlite3_column_int64(statement, 0),
                                 .family = store_column_uuid(statement, 1),
                                 .id = store_column_uuid(statement, 2)};
        if (!aside_keep(store, &key))
            break;
    }
    sqlite3_reset(statement);
    return store_ok(store);
}

static uint32_t root_type(const struct store *store)
{
    const struct record_type *root = record_root_type(store->schema);

    return root != NULL ? root->number : 0;
}

bool aside_keep_family(struct store *store, const struct record_uuid *family)
{
    sqlite3_stmt *statement = store_statement(store, STORE_ASIDE_OF_FAMILY);

    store_bind_uuid(statement, 1, family);
    if (statement != NULL)
        sqlite3_bind_int64(statement, 2, root_type(store));
    return keep_all(store, statement);
}

bool aside_keep_unconfirmed(struct store *store)
{
    sqlite3_stmt *statement = store_statement(store, STORE_ASIDE_OF_UNCONFIRMED);

    if (statement != NULL)
        sqlite3_bind_int64(statement, 1, root_type(store));
    return keep_all(store, statement);
}

static bool any_row(struct store *store, sqlite3_stmt *statement, bool *any)
{
    enum store_step step = store_step(store, statement);

    *any = *any || step == STORE_ROW;
    sqlite3_reset(statement);
    return step != STORE_FAILED;
}

/* Own work of the family, or records of it besides the patient. */
static bool anything_hangs(struct store *store, const struct record_uuid *family, bool *any_out)
{
    sqlite3_stmt *statement = store_statement(store, STORE_ASIDE_HANGS);
    bool good;

    *any_out = false;
    store_bind_uuid(statement, 1, family);
    good = any_row(store, statement, any_out);
    for (size_t i = 0; good && !*any_out && i < store->schema->type_count; i++) {
        if (store->schema->types[i].family != RECORD_FAMILY_MEMBER)
            continue;
        statement = schema_statement(store, &store->tables[i], TABLE_FAMILY);
        store_bind_uuid(statement, 1, family);
        good = any_row(store, statement, any_out);
    }
    return good;
}

bool aside_keep_tombstone(struct store *store, const struct record_key *key,
                          const struct image *tombstone)
{
    bool hangs;

    if (!tombstone->present || !tombstone->deleted || tombstone->version == 0 ||
        key->type != root_type(store))
        return true;
    return anything_hangs(store, &key->family, &hangs) && (!hangs || put(store, key, tombstone));
}

/* ---- Offering ------------------------------------------------------------------ */

static bool offer_rows(struct store *store, sqlite3_stmt *statement)
{
    struct image image;

    image_init(&image);
    while (store_step(store, statement) == STORE_ROW) {
        struct record_key key = {.type = (uint32_t)sqlite3_column_int64(statement, 0),
                                 .family = store_column_uuid(statement, 1),
                                 .id = store_column_uuid(statement, 2)};
        image_clear(&image);
        image.present = true;
        image.version = (uint64_t)sqlite3_column_int64(statement, 3);
        image.deleted = sqlite3_column_int(statement, 4) != 0;
        rpc_buffer_append_bytes(&image.body, store_column_bytes(statement, 5));
        if (image.body.failed)
            store_fail(store, OUTPOST_IO, "no memory");
        if (!store_ok(store) || !resend_offer(store, &key, &image))
            break;
    }
    sqlite3_reset(statement);
    image_deinit(&image);
    return store_ok(store);
}

bool aside_offer(struct store *store, const struct record_key *key)
{
    sqlite3_stmt *statement = store_statement(store, STORE_ASIDE_GET);

    store_bind_key(statement, key);
    return offer_rows(store, statement);
}

bool aside_offer_all(struct store *store)
{
    return offer_rows(store, store_statement(store, STORE_ASIDE_ALL));
}

bool aside_trim(struct store *store, int64_t now_ms, int64_t before_ms)
{
    sqlite3_stmt *begin = store_statement(store, STORE_ASIDE_BEGIN);
    sqlite3_stmt *trim = store_statement(store, STORE_ASIDE_TRIM);

    if (begin == NULL || trim == NULL)
        return false;
    sqlite3_bind_int64(begin, 1, now_ms);
    sqlite3_bind_int64(trim, 1, before_ms);
    return store_run(store, begin) && store_run(store, trim);
}
