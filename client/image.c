/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows to canonical bodies and back; see image.h. A value is carried by its SQL
 * storage class, not by what its field should be: text that an app put into a
 * number's column travels as text, so that nothing is lost and the server can
 * quarantine it whole (DESIGN 4).
 */
#include "image.h"

#include "schema.h"
#include "withheld.h"

#include <assert.h>
#include <math.h>

/* ---- In memory -------------------------------------------------------------------- */

void image_init(struct image *image)
{
    *image = (struct image){0};
    rpc_buffer_init(&image->body, RECORD_BODY_BYTES_MAX);
}

void image_deinit(struct image *image)
{
    rpc_buffer_deinit(&image->body);
}

void image_clear(struct image *image)
{
    image->present = image->deleted = image->oversize = false;
    image->version = image->stamp = 0;
    rpc_buffer_clear(&image->body);
}

bool image_copy(struct image *image, const struct image *from)
{
    image_clear(image);
    image->present = from->present;
    image->deleted = from->deleted;
    image->oversize = from->oversize;
    image->version = from->version;
    image->stamp = from->stamp;
    rpc_buffer_append_bytes(&image->body, rpc_buffer_view(&from->body));
    return !image->body.failed;
}

void image_stamp(struct image *image, struct record_hasher *hasher)
{
    image->stamp = image->present ? record_stamp(hasher, image->version, image->deleted,
                                                 rpc_buffer_view(&image->body))
                                  : 0;
}

bool image_take(struct image *image, struct record_hasher *hasher,
                const struct record_image *record)
{
    struct record_body body;

    image_clear(image);
    if (!record_body_parse(record->body, &body))
        return false;
    if (record_body_is_canonical(&body, record->body))
        rpc_buffer_append_bytes(&image->body, record->body);
    else
        record_body_encode(&body, &image->body);
    image->present = true;
    image->deleted = record->deleted;
    image->version = record->version;
    image_stamp(image, hasher);
    return !image->body.failed;
}

bool image_living(const struct image *image)
{
    return image->present && !image->deleted;
}

bool image_same(const struct image *a, const struct image *b)
{
    if (!image_living(a) || !image_living(b))
        return image_living(a) == image_living(b);
    return !a->oversize && !b->oversize &&
           rpc_bytes_equal(rpc_buffer_view(&a->body), rpc_buffer_view(&b->body));
}

/* ---- Columns to fields --------------------------------------------------------------- */

static bool is_number(enum record_kind kind)
{
    return kind == RECORD_KIND_DOUBLE || kind == RECORD_KIND_FLOAT;
}

static void read_real(struct wire_field *value, enum record_kind kind, double number)
{
    if (kind == RECORD_KIND_FLOAT) {
        float single = (float)number;
        uint32_t bits;
        memcpy(&bits, &single, sizeof bits);
        value->type = WIRE_FIXED32;
        value->value = bits;
    } else {
        value->type = WIRE_FIXED64;
        memcpy(&value->value, &number, sizeof value->value);
    }
}

/* A column's value as the wire carries it; a null is "not recorded". */
static struct wire_field read_column(sqlite3_stmt *statement, int column,
                                     const struct record_field *field)
{
    struct wire_field value = {.number = field->number, .type = WIRE_VARINT};
    int64_t integer;

    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        integer = sqlite3_column_int64(statement, column);
        if (is_number(field->kind))
            read_real(&value, field->kind, (double)integer);
        else
            value.value = (uint64_t)integer;
        break;
    case SQLITE_FLOAT:
        read_real(&value, field->kind, sqlite3_column_double(statement, column));
        break;
    case SQLITE_TEXT:
        value.type = WIRE_LEN;
        value.bytes.data = sqlite3_column_text(statement, column);
        value.bytes.len = (size_t)sqlite3_column_bytes(statement, column);
        break;
    case SQLITE_BLOB:
        value.type = WIRE_LEN;
        value.bytes = store_column_bytes(statement, column);
        break;
    default:
        break;
    }
    return value;
}

bool image_read_columns(struct image *image, sqlite3_stmt *statement,
                        const struct record_type *type)
{
    int after = (int)type->field_count;
    struct record_body body;
    bool whole;

    image_clear(image);
    image->present = true;
    image->stamp = (uint64_t)sqlite3_column_int64(statement, after);
    image->version = (uint64_t)sqlite3_column_int64(statement, after + 1);
    whole = record_body_parse(store_column_bytes(statement, after + 2), &body);
    if (!whole)
        body.count = 0;
    for (int i = 0; i < after; i++) {
        struct wire_field value = read_column(statement, i, &type->fields[i]);
        if (!wire_field_is_zero(&value))
            whole = record_body_set(&body, &value) && whole;
    }
    record_body_encode(&body, &image->body);
    if (image->body.no_memory)
        return false;
    if (!whole || image->body.failed) {
        image->oversize = true;
        rpc_buffer_clear(&image->body);
    }
    return true;
}

/* Whether a look at the type's base images can be left out, because there are none. */
static bool no_bases(struct store *store, struct store_table *table)
{
    if (!store->in_transaction && !store->in_read)
        return false;
    if (table->bases == STORE_NOT_LOOKED) {
        sqlite3_stmt *any = schema_statement(store, table, BASE_ANY);
        enum store_step step = store_step(store, any);
        if (step != STORE_FAILED)
            table->bases = step == STORE_ROW ? STORE_SOME : STORE_NONE;
        sqlite3_reset(any);
    }
    return table->bases == STORE_NONE;
}

static bool reads_base(enum table_statement which)
{
    return which == BASE_GET || which == BASE_HEAD || which == BASE_DELETE;
}

static bool read_one(struct store *store, const struct record_key *key, struct image *image,
                     enum table_statement which)
{
    struct store_table *table = store_table(store, key->type);
    sqlite3_stmt *statement;
    enum store_step step;

    image_clear(image);
    if (table == NULL)
        return true;
    if (reads_base(which) && no_bases(store, table))
        return store_ok(store);
    statement = schema_statement(store, table, which);
    schema_bind_key(statement, table->type, key);
    step = store_step(store, statement);
    if (step == STORE_ROW) {
        bool read = image_read_columns(image, statement, table->type);
        sqlite3_reset(statement);
        return read || store_fail(store, OUTPOST_IO, "no memory");
    }
    return step != STORE_FAILED;
}

bool image_read_row(struct store *store, const struct record_key *key, struct image *image)
{
    return read_one(store, key, image, TABLE_GET);
}

bool image_read_base(struct store *store, const struct record_key *key, struct image *image)
{
    return read_one(store, key, image, BASE_GET);
}

/* ---- Fields to columns ---------------------------------------------------------------- */

/* SQLite keeps no NaN, and may not tell zero from minus zero. */
static bool real_survives(double number)
{
    return !isnan(number) && number != 0;
}

static bool column_carries(const struct record_field *field, const struct wire_field *value)
{
    double number;
    float single;
    uint32_t bits = (uint32_t)value->value;

    switch (field->kind) {
    case RECORD_KIND_STRING:
    case RECORD_KIND_BYTES:
        return value->type == WIRE_LEN;
    case RECORD_KIND_DOUBLE:
        memcpy(&number, &value->value, sizeof number);
        return value->type == WIRE_FIXED64 && real_survives(number);
    case RECORD_KIND_FLOAT:
        memcpy(&single, &bits, sizeof single);
        return value->type == WIRE_FIXED32 && real_survives(single);
    default:
        return value->type == WIRE_VARINT;
    }
}

/* A withheld field's value does not, but what an app writes into its column counts. */
static bool lies_in_column(const struct store *store, const struct record_type *type,
                           const struct record_field *field, const struct wire_field *value)
{
    return column_carries(field, value) && !withheld_has_field(store, type->number, field->number);
}

bool image_has_column(const struct store *store, const struct record_type *type,
                      const struct wire_field *value)
{
    const struct record_field *field = record_field_by_number(type, value->number);

    return field != NULL && lies_in_column(store, type, field, value);
}

double image_real(const struct record_field *field, const struct wire_field *value)
{
    double number = 0;
    float single;
    uint32_t bits;

    if (value == NULL)
        return 0;
    if (field->kind == RECORD_KIND_DOUBLE) {
        memcpy(&number, &value->value, sizeof number);
        return number;
    }
    bits = (uint32_t)value->value;
    memcpy(&single, &bits, sizeof single);
    return single;
}

static void bind_value(sqlite3_stmt *statement, int index, const struct record_field *field,
                       const struct wire_field *value)
{
    switch (field->kind) {
    case RECORD_KIND_STRING:
        sqlite3_bind_text(statement, index, value != NULL ? (const char *)value->bytes.data : "",
                          value != NULL ? (int)value->bytes.len : 0, SQLITE_STATIC);
        break;
    case RECORD_KIND_BYTES:
        store_bind_bytes(statement, index, value != NULL ? value->bytes : rpc_bytes_view(NULL, 0));
        break;
    case RECORD_KIND_DOUBLE:
    case RECORD_KIND_FLOAT:
        sqlite3_bind_double(statement, index, image_real(field, value));
        break;
    default:
        sqlite3_bind_int64(statement, index, value != NULL ? (sqlite3_int64)value->value : 0);
        break;
    }
}

bool image_spread(const struct store *store, const struct record_type *type,
                  const struct record_body *body, const struct wire_field *columns[],
                  struct rpc_buffer *unknown)
{
    size_t next = 0;

    for (size_t i = 0; i < type->field_count; i++) {
        const struct record_field *field = &type->fields[i];
        columns[i] = NULL;
        while (next < body->count && body->fields[next].number < field->number)
            wire_put_field(unknown, &body->fields[next++]);
        if (next == body->count || body->fields[next].number != field->number)
            continue;
        const struct wire_field *value = &body->fields[next++];
        if (lies_in_column(store, type, field, value))
            columns[i] = value;
        else
            wire_put_field(unknown, value);
    }
    while (next < body->count)
        wire_put_field(unknown, &body->fields[next++]);
    return !unknown->failed;
}

/* Binds fields, stamp, version and unknown fields from index on. unknown keeps
 * the bytes of the last until the statement has run. */
static bool bind_image(const struct store *store, sqlite3_stmt *statement, int index,
                       const struct record_type *type, const struct image *image,
                       struct rpc_buffer *unknown)
{
    struct record_body body;
    const struct wire_field *columns[RECORD_FIELDS_MAX];

    assert(type->field_count <= RECORD_FIELDS_MAX);
    if (!record_body_parse(rpc_buffer_view(&image->body), &body) ||
        !image_spread(store, type, &body, columns, unknown))
        return false;
    for (size_t i = 0; i < type->field_count; i++)
        bind_value(statement, index++, &type->fields[i], columns[i]);
    sqlite3_bind_int64(statement, index, (sqlite3_int64)image->stamp);
    sqlite3_bind_int64(statement, index + 1, (sqlite3_int64)image->version);
    store_bind_bytes(statement, index + 2, rpc_buffer_view(unknown));
    return true;
}

static bool run_with_image(struct store *store, const struct record_key *key,
                           const struct image *image, enum table_statement which, bool *conflict)
{
    struct store_table *table = store_table(store, key->type);
    sqlite3_stmt *statement = schema_statement(store, table, which);
    struct rpc_buffer unknown;
    bool good = false;

    if (statement == NULL)
        return false;
    assert(!image->oversize);
    rpc_buffer_init(&unknown, RECORD_BODY_BYTES_MAX);
    int index = schema_bind_key(statement, table->type, key);
    if (!bind_image(store, statement, index, table->type, image, &unknown))
        store_fail(store, OUTPOST_IO, "no memory");
    else if (conflict == NULL)
        good = store_run(store, statement);
    else {
        int result = sqlite3_step(statement);
        *conflict = (result & 0xff) == SQLITE_CONSTRAINT;
        good = result == SQLITE_DONE || *conflict || store_fail_sqlite(store, "inserting a row");
        sqlite3_reset(statement);
    }
    rpc_buffer_deinit(&unknown);
    return good;
}

static bool run_by_key(struct store *store, const struct record_key *key,
                       enum table_statement which)
{
    struct store_table *table = store_table(store, key->type);

    if (table == NULL)
        return true;
    if (reads_base(which) && no_bases(store, table))
        return store_ok(store);
    sqlite3_stmt *statement = schema_statement(store, table, which);
    schema_bind_key(statement, table->type, key);
    return store_run(store, statement);
}

/* The stamp of a row or a base image; found_out tells whether there is one. */
static bool read_head(struct store *store, const struct record_key *key, enum table_statement which,
                      bool *found_out, uint64_t *stamp_out)
{
    struct store_table *table = store_table(store, key->type);
    sqlite3_stmt *statement;
    enum store_step step;

    *found_out = false;
    *stamp_out = 0;
    if (table == NULL)
        return true;
    if (reads_base(which) && no_bases(store, table))
        return store_ok(store);
    statement = schema_statement(store, table, which);
    schema_bind_key(statement, table->type, key);
    step = store_step(store, statement);
    if (step == STORE_ROW) {
        *found_out = true;
        *stamp_out = (uint64_t)sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return step != STORE_FAILED;
}

bool image_insert_row(struct store *store, const struct record_key *key, const struct image *image,
                      bool *conflict_out)
{
    return run_with_image(store, key, image, TABLE_INSERT, conflict_out);
}

/* Never OR REPLACE: the app's own triggers must see an update as an update. */
bool image_write_row(struct store *store, const struct record_key *key, const struct image *image)
{
    uint64_t stamp;
    bool found;

    if (!image_living(image))
        return run_by_key(store, key, TABLE_DELETE);
    return read_head(store, key, TABLE_HEAD, &found, &stamp) &&
           run_with_image(store, key, image, found ? TABLE_UPDATE : TABLE_INSERT, NULL);
}

bool image_settle_row(struct store *store, const struct record_key *key, const struct image *image)
{
    struct store_table *table = store_table(store, key->type);
    sqlite3_stmt *statement = schema_statement(store, table, TABLE_SETTLE);

    if (statement == NULL)
        return false;
    int index = schema_bind_key(statement, table->type, key);
    sqlite3_bind_int64(statement, index, (sqlite3_int64)image->stamp);
    sqlite3_bind_int64(statement, index + 1, (sqlite3_int64)image->version);
    return store_run(store, statement);
}

bool image_delete_base(struct store *store, const struct record_key *key)
{
    return run_by_key(store, key, BASE_DELETE);
}

bool image_write_base(struct store *store, const struct record_key *key, const struct image *image)
{
    return image_delete_base(store, key) && run_with_image(store, key, image, BASE_INSERT, NULL);
}

/* ---- Copies kept as bytes: explicit held ones, records of unknown types -------------------- */

static bool read_copy(struct store *store, const struct record_key *key, struct image *image,
                      enum store_statement which, bool *found_out)
{
    sqlite3_stmt *statement;
    enum store_step step;

    image_clear(image);
    *found_out = false;
    if (store_known_empty(store, which))
        return store_ok(store);
    statement = store_statement(store, which);
    store_bind_key(statement, key);
    step = store_step(store, statement);
    *found_out = step == STORE_ROW;
    if (step == STORE_ROW) {
        image->present = sqlite3_column_type(statement, 3) != SQLITE_NULL;
        image->version = (uint64_t)sqlite3_column_int64(statement, 0);
        image->deleted = image->present && sqlite3_column_int(statement, 1);
        image->stamp = (uint64_t)sqlite3_column_int64(statement, 2);
        rpc_buffer_append_bytes(&image->body, store_column_bytes(statement, 3));
        sqlite3_reset(statement);
        if (image->body.failed)
            return store_fail(store, OUTPOST_BAD_INPUT, "a kept copy is damaged");
    }
    return step != STORE_FAILED;
}

static bool write_copy(struct store *store, const struct record_key *key, const struct image *image,
                       enum store_statement which)
{
    sqlite3_stmt *statement = store_statement(store, which);

    if (statement == NULL)
        return false;
    store_bind_key(statement, key);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)image->version);
    sqlite3_bind_int(statement, 5, image->deleted);
    sqlite3_bind_int64(statement, 6, (sqlite3_int64)image->stamp);
    if (image->present)
        store_bind_bytes(statement, 7, rpc_buffer_view(&image->body));
    else
        sqlite3_bind_null(statement, 7);
    return store_run(store, statement);
}

static bool delete_copy(struct store *store, const struct record_key *key,
                        enum store_statement which)
{
    sqlite3_stmt *statement = store_statement(store, which);

    store_bind_key(statement, key);
    return store_run(store, statement);
}

bool image_read_unknown(struct store *store, const struct record_key *key, struct image *image)
{
    bool found;

    return read_copy(store, key, image, STORE_UNKNOWN_GET, &found);
}

bool image_write_unknown(struct store *store, const struct record_key *key,
                         const struct image *image)
{
    return image_living(image) ? write_copy(store, key, image, STORE_UNKNOWN_PUT)
                               : image_delete_unknown(store, key);
}

bool image_delete_unknown(struct store *store, const struct record_key *key)
{
    return delete_copy(store, key, STORE_UNKNOWN_DELETE);
}

bool image_write_held(struct store *store, const struct record_key *key, const struct image *image)
{
    return write_copy(store, key, image, STORE_HELD_PUT);
}

/* ---- The server's copy, wherever it lies ----------------------------------------------------- */

bool image_pending(struct store *store, const struct record_key *key, bool *pending_out,
                   int64_t *generation_out)
{
    sqlite3_stmt *statement;
    enum store_step step;

    *pending_out = false;
    *generation_out = 0;
    if (store_known_empty(store, STORE_PENDING_GET))
        return store_ok(store);
    statement = store_statement(store, STORE_PENDING_GET);
    store_bind_key(statement, key);
    step = store_step(store, statement);
    if (step == STORE_ROW) {
        *pending_out = true;
        *generation_out = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return step != STORE_FAILED;
}

bool image_read_held(struct store *store, const struct record_key *key, struct image *image)
{
    bool pending, found;
    int64_t generation;

    if (store_table(store, key->type) == NULL)
        return image_read_unknown(store, key, image);
    if (!image_pending(store, key, &pending, &generation))
        return false;
    if (!pending)
        return image_read_row(store, key, image);
    if (!read_copy(store, key, image, STORE_HELD_GET, &found))
        return false;
    return found || image_read_base(store, key, image);
}

bool image_read_held_over(struct store *store, const struct record_key *key,
                          const struct image *base, struct image *image)
{
    bool found;

    return read_copy(store, key, image, STORE_HELD_GET, &found) &&
           (found || image_copy(image, base) || store_fail(store, OUTPOST_IO, "no memory"));
}

/* Of a copy that is kept as bytes. */
static bool read_copy_stamp(struct store *store, const struct record_key *key,
                            enum store_statement which, bool *found_out, uint64_t *stamp_out)
{
    sqlite3_stmt *statement;
    enum store_step step;

    *found_out = false;
    *stamp_out = 0;
    if (store_known_empty(store, which))
        return store_ok(store);
    statement = store_statement(store, which);
    store_bind_key(statement, key);
    step = store_step(store, statement);
    *found_out = step == STORE_ROW;
    if (*found_out) {
        *stamp_out = (uint64_t)sqlite3_column_int64(statement, 2);
        sqlite3_reset(statement);
    }
    return step != STORE_FAILED;
}

bool image_sealed_stamp(struct store *store, const struct record_key *key, uint64_t *stamp_out)
{
    bool found;

    return read_copy_stamp(store, key, STORE_HELD_GET, &found, stamp_out) &&
           (found || read_head(store, key, BASE_HEAD, &found, stamp_out));
}

bool image_held_stamp(struct store *store, const struct record_key *key, uint64_t *stamp_out)
{
    bool pending, found;
    int64_t generation;

    *stamp_out = 0;
    /* What is offered of a type that this version does not know is held, too (R22). */
    if (store_table(store, key->type) == NULL)
        return read_copy_stamp(store, key, STORE_UNKNOWN_GET, &found, stamp_out);
    if (!image_pending(store, key, &pending, &generation))
        return false;
    return pending ? image_sealed_stamp(store, key, stamp_out)
                   : read_head(store, key, TABLE_HEAD, &found, stamp_out);
}
