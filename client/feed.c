/* SPDX-License-Identifier: Apache-2.0
 *
 * The virtual table and what stands behind it; see feed.h. A row's columns are those of
 * TABLE_INSERT, in its order: key, fields, stamp, version, unknown fields. Values are
 * views into the page, which outlives the statement.
 */
#include "feed.h"

#include "apply.h"
#include "schema.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    /* Key, fields, stamp, version, unknown. */
    FEED_COLUMNS_MAX = RECORD_FIELDS_MAX + 5,
    LIST_FIRST_CAPACITY = 256,
};

struct feed_list {
    struct record_image *images;
    size_t count, capacity;
};

/* What the table shows: the row at `at`, taken apart. */
struct feed_source {
    struct store *store;
    const struct record_type *type;
    const struct feed_list *list;
    size_t at;
    enum { FEED_GOOD, FEED_MALFORMED, FEED_NO_MEMORY } state; /* else it ends early */
    uint64_t stamp;
    struct record_body body;
    const struct wire_field *columns[RECORD_FIELDS_MAX];
    struct rpc_buffer canonical, unknown;
};

/* ---- Rows -------------------------------------------------------------------------- */

/* The body as the stamp is made of it: mostly what came. */
static struct rpc_bytes canonical_body(struct feed_source *source, struct rpc_bytes came)
{
    if (record_body_is_canonical(&source->body, came))
        return came;
    rpc_buffer_clear(&source->canonical);
    record_body_encode(&source->body, &source->canonical);
    if (source->canonical.failed)
        source->state = FEED_NO_MEMORY;
    return rpc_buffer_view(&source->canonical);
}

static void take_row_apart(struct feed_source *source)
{
    const struct record_image *image;

    if (source->at == source->list->count)
        return;
    image = &source->list->images[source->at];
    rpc_buffer_clear(&source->unknown);
    if (!record_body_parse(image->body, &source->body)) {
        source->state = FEED_MALFORMED;
        return;
    }
    if (!image_spread(source->store, source->type, &source->body, source->columns,
                      &source->unknown))
        source->state = FEED_NO_MEMORY;
    source->stamp = record_stamp(source->store->hasher, image->version, false,
                                 canonical_body(source, image->body));
}

static void give_uuid(sqlite3_context *context, const struct record_uuid *id)
{
    sqlite3_result_blob(context, id->bytes, RECORD_UUID_LEN, SQLITE_STATIC);
}

static void give_key(const struct feed_source *source, sqlite3_context *context, int column)
{
    const struct record_key *key = &source->list->images[source->at].key;
    bool family = source->type->family == RECORD_FAMILY_MEMBER && column == 0;

    give_uuid(context, family ? &key->family : &key->id);
}

static void give_value(sqlite3_context *context, const struct record_field *field,
                       const struct wire_field *value)
{
    struct rpc_bytes bytes = value != NULL ? value->bytes : rpc_bytes_view((const uint8_t *)"", 0);

    switch (field->kind) {
    case RECORD_KIND_STRING:
        sqlite3_result_text(context, (const char *)bytes.data, (int)bytes.len, SQLITE_STATIC);
        break;
    case RECORD_KIND_BYTES:
        sqlite3_result_blob(context, bytes.data, (int)bytes.len, SQLITE_STATIC);
        break;
    case RECORD_KIND_DOUBLE:
    case RECORD_KIND_FLOAT:
        sqlite3_result_double(context, image_real(field, value));
        break;
    default:
        sqlite3_result_int64(context, value != NULL ? (sqlite3_int64)value->value : 0);
        break;
    }
}

/* Behind the fields: stamp, version, unknown. */
static void give_own(const struct feed_source *source, sqlite3_context *context, size_t column)
{
    if (column == 0)
        sqlite3_result_int64(context, (sqlite3_int64)source->stamp);
    else if (column == 1)
        sqlite3_result_int64(context, (sqlite3_int64)source->list->images[source->at].version);
    else
        sqlite3_result_blob(context, source->unknown.len > 0 ? source->unknown.data : (void *)"",
                            (int)source->unknown.len, SQLITE_STATIC);
}

/* ---- The virtual table ----------------------------------------------------------------- */

struct feed_table {
    sqlite3_vtab base;
    struct store *store;
};

static int table_connect(sqlite3 *db, void *context, int argc, const char *const *argv,
                         sqlite3_vtab **table_out, char **error_out)
{
    char text[FEED_COLUMNS_MAX * 6 + 32];
    int len = snprintf(text, sizeof text, "CREATE TABLE x(c0");
    struct feed_table *table;

    (void)argc, (void)argv, (void)error_out;
    for (int i = 1; i < FEED_COLUMNS_MAX; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, ", c%d", i);
    snprintf(text + len, sizeof text - (size_t)len, ")");
    int code = sqlite3_declare_vtab(db, text);
    if (code != SQLITE_OK)
        return code;
    table = sqlite3_malloc(sizeof *table);
    if (table == NULL)
        return SQLITE_NOMEM;
    *table = (struct feed_table){.store = context};
    *table_out = &table->base;
    return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *table)
{
    sqlite3_free(table);
    return SQLITE_OK;
}

static int table_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table, (void)info;
    return SQLITE_OK;
}

static int cursor_open(sqlite3_vtab *table, sqlite3_vtab_cursor **cursor_out)
{
    (void)table;
    *cursor_out = sqlite3_malloc(sizeof **cursor_out);
    return *cursor_out != NULL ? SQLITE_OK : SQLITE_NOMEM;
}

static int cursor_close(sqlite3_vtab_cursor *cursor)
{
    sqlite3_free(cursor);
    return SQLITE_OK;
}

static struct feed_source *source_of(sqlite3_vtab_cursor *cursor)
{
    return ((struct feed_table *)cursor->pVtab)->store->feed;
}

static int cursor_filter(sqlite3_vtab_cursor *cursor, int index, const char *name, int argc,
                         sqlite3_value **argv)
{
    (void)index, (void)name, (void)argc, (void)argv;
    if (source_of(cursor) != NULL)
        take_row_apart(source_of(cursor));
    return SQLITE_OK;
}

/* The row before has been inserted: SQLite asks for one after the other. */
static int cursor_next(sqlite3_vtab_cursor *cursor)
{
    struct feed_source *source = source_of(cursor);

    store_sum_add(source->store, &source->list->images[source->at].key, source->stamp);
    source->at++;
    take_row_apart(source);
    return SQLITE_OK;
}

static int cursor_eof(sqlite3_vtab_cursor *cursor)
{
    const struct feed_source *source = source_of(cursor);

    return source == NULL || source->state != FEED_GOOD || source->at == source->list->count;
}

static int cursor_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column)
{
    const struct feed_source *source = source_of(cursor);
    int keys = source->type->family == RECORD_FAMILY_MEMBER ? 2 : 1;
    size_t field = (size_t)(column - keys);

    if (column < keys)
        give_key(source, context, column);
    else if (field < source->type->field_count)
        give_value(context, &source->type->fields[field], source->columns[field]);
    else
        give_own(source, context, field - source->type->field_count);
    return SQLITE_OK;
}

static int cursor_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid_out)
{
    *rowid_out = (sqlite3_int64)source_of(cursor)->at;
    return SQLITE_OK;
}

/* Without xCreate it is there by its name, and can be made under no other. */
static const sqlite3_module feed_module = {
    .xConnect = table_connect,
    .xDisconnect = table_disconnect,
    .xBestIndex = table_best_index,
    .xOpen = cursor_open,
    .xClose = cursor_close,
    .xFilter = cursor_filter,
    .xNext = cursor_next,
    .xEof = cursor_eof,
    .xColumn = cursor_column,
    .xRowid = cursor_rowid,
};

bool feed_register(struct store *store)
{
    return sqlite3_create_module(store->db, FEED_TABLE, &feed_module, store) == SQLITE_OK ||
           store_fail_sqlite(store, "setting up the connection");
}

/* ---- Pages --------------------------------------------------------------------------------- */

void feed_init(struct feed *feed, struct store *store)
{
    *feed = (struct feed){.store = store};
}

void feed_deinit(struct feed *feed)
{
    for (size_t i = 0; feed->lists != NULL && i < feed->store->schema->type_count; i++)
        free(feed->lists[i].images);
    free(feed->lists);
}

bool feed_takes(const struct store *store, const struct store_table *table)
{
    return table->fresh && store->triggers_off && !store->offer_due && !store->pending_any &&
           !store->unconfirmed_any && !store->left_any &&
           table->type->field_count <= RECORD_FIELDS_MAX;
}

static bool grow(struct feed_list *list)
{
    size_t capacity = list->capacity > 0 ? list->capacity * 2 : LIST_FIRST_CAPACITY;
    struct record_image *images = realloc(list->images, capacity * sizeof *images);

    if (images == NULL)
        return false;
    list->images = images;
    list->capacity = capacity;
    return true;
}

bool feed_add(struct feed *feed, const struct store_table *table, const struct record_image *image)
{
    struct store *store = feed->store;
    struct feed_list *list;

    if (feed->lists == NULL)
        feed->lists = calloc(store->schema->type_count, sizeof *feed->lists);
    if (feed->lists == NULL)
        return store_fail(store, OUTPOST_IO, "no memory");
    list = &feed->lists[table - store->tables];
    if (list->count == list->capacity && !grow(list))
        return store_fail(store, OUTPOST_IO, "no memory");
    list->images[list->count++] = *image;
    return true;
}

/* One is there already, or the app has a constraint that refuses it. */
static bool take_alone(struct store *store, const struct record_image *image)
{
    struct image came;
    bool good;

    image_init(&came);
    good =
        (image_take(&came, store->hasher, image) || store_fail(store, OUTPOST_IO, "no memory")) &&
        apply_take(store, &image->key, &came);
    image_deinit(&came);
    return good;
}

/* As many as there are, or up to one that conflicts. */
static bool write_front(struct feed_source *source, struct store_table *table)
{
    struct store *store = source->store;
    sqlite3_stmt *statement = schema_statement(store, table, TABLE_FEED);
    size_t before = source->at;
    int result;

    if (statement == NULL)
        return false;
    result = sqlite3_step(statement);
    sqlite3_reset(statement);
    if (source->state == FEED_MALFORMED)
        return store_fail(store, OUTPOST_BUG, "the server sent a malformed page: report it");
    if (source->state == FEED_NO_MEMORY)
        return store_fail(store, OUTPOST_IO, "no memory");
    if (result != SQLITE_DONE && (result & 0xff) != SQLITE_CONSTRAINT)
        return store_fail_sqlite(store, "inserting rows");
    return (size_t)sqlite3_changes(store->db) == source->at - before ||
           store_fail(store, OUTPOST_BUG, "SQLite inserts rows otherwise than one by one");
}

/* The guess that a table's next record is new is given up at the first that is not. */
static bool write_list(struct feed_source *source, struct store_table *table)
{
    const struct feed_list *list = source->list;

    while (source->at < list->count) {
        if (table->fresh && !write_front(source, table))
            return false;
        if (source->at < list->count && !take_alone(source->store, &list->images[source->at++]))
            return false;
    }
    return true;
}

bool feed_write(struct feed *feed)
{
    struct store *store = feed->store;
    struct feed_source source = {.store = store};
    bool good = true;

    if (feed->lists == NULL)
        return true;
    rpc_buffer_init(&source.canonical, RECORD_BODY_BYTES_MAX);
    rpc_buffer_init(&source.unknown, RECORD_BODY_BYTES_MAX);
    store->feed = &source;
    for (size_t i = 0; good && i < store->schema->type_count; i++) {
        source.type = store->tables[i].type;
        source.list = &feed->lists[i];
        source.at = 0;
        good = write_list(&source, &store->tables[i]);
    }
    for (size_t i = 0; i < store->schema->type_count; i++)
        feed->lists[i].count = 0;
    store->feed = NULL;
    rpc_buffer_deinit(&source.unknown);
    rpc_buffer_deinit(&source.canonical);
    return good;
}
