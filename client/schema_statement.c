/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and statements of one record type's tables; see schema.h. A statement is put together
 * from the type's fields when it is first asked for, and stays prepared.
 */
#include "schema.h"

#include "feed.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- Names and keys ----------------------------------------------------------------- */

bool schema_key_fits(const struct record_type *type, const struct record_key *key)
{
    bool global = record_uuid_is_zero(&key->family);

    switch (type->family) {
    case RECORD_FAMILY_GLOBAL:
        return global;
    case RECORD_FAMILY_ROOT:
        return record_uuid_compare(&key->family, &key->id) == 0;
    case RECORD_FAMILY_MEMBER:
        return !global;
    }
    return false;
}

int schema_bind_key(sqlite3_stmt *statement, const struct record_type *type,
                    const struct record_key *key)
{
    int index = 1;

    if (type->family == RECORD_FAMILY_MEMBER)
        store_bind_uuid(statement, index++, &key->family);
    store_bind_uuid(statement, index++, &key->id);
    return index;
}

struct record_key schema_column_key(sqlite3_stmt *statement, int column,
                                    const struct record_type *type)
{
    struct record_key key = {.type = type->number};

    key.id = store_column_uuid(statement, column + 1);
    if (type->family == RECORD_FAMILY_ROOT)
        key.family = key.id;
    else if (type->family == RECORD_FAMILY_MEMBER)
        key.family = store_column_uuid(statement, column);
    return key;
}

/* ---- Statements of one type ------------------------------------------------------------ */

/* The text being built and what it is about. */
struct draft {
    struct rpc_buffer text;
    const struct record_type *type;
    const char *family_column; /* of a member: the root's table and "_id" */
    const char *prefix;        /* "" or "outpost_base_" */
};

static void __attribute__((format(printf, 2, 3))) put(struct draft *draft, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (len < 0 || (size_t)len >= sizeof text)
        draft->text.failed = true;
    else
        rpc_buffer_append(&draft->text, text, (size_t)len);
}

static bool is_member(const struct draft *draft)
{
    return draft->type->family == RECORD_FAMILY_MEMBER;
}

/* table: "t.", or nothing where only one is read. */
static void put_columns_of(struct draft *draft, const char *table)
{
    for (size_t i = 0; i < draft->type->field_count; i++)
        put(draft, "%s\"%s\", ", table, draft->type->fields[i].name);
    put(draft, "%soutpost_stamp, %soutpost_version, %soutpost_unknown", table, table, table);
}

static void put_columns(struct draft *draft)
{
    put_columns_of(draft, "");
}

static void put_from(struct draft *draft)
{
    put(draft, " FROM \"%s%s\"", draft->prefix, draft->type->table);
}

static void put_where_key(struct draft *draft)
{
    if (is_member(draft))
        put(draft, " WHERE \"%s\" = ?1 AND id = ?2", draft->family_column);
    else
        put(draft, " WHERE id = ?1");
}

/* From one key to another. */
static void put_where_run(struct draft *draft)
{
    const char *family = draft->family_column;

    if (is_member(draft))
        put(draft,
            " WHERE \"%s\" BETWEEN ?1 AND ?3 AND (\"%s\" > ?1 OR id >= ?2)"
            " AND (\"%s\" < ?3 OR id <= ?4)",
            family, family, family);
    else
        put(draft, " WHERE id BETWEEN ?1 AND ?2");
}

/* The number of the parameter after the two keys of put_where_run. */
static int after_keys(const struct draft *draft)
{
    return is_member(draft) ? 5 : 3;
}

/* family_id and id as the outpost_ tables have them. */
static void put_key_columns(struct draft *draft)
{
    switch (draft->type->family) {
    case RECORD_FAMILY_GLOBAL:
        put(draft, "zeroblob(16), id");
        break;
    case RECORD_FAMILY_ROOT:
        put(draft, "id, id");
        break;
    case RECORD_FAMILY_MEMBER:
        put(draft, "\"%s\", id", draft->family_column);
        break;
    }
}

static void put_insert(struct draft *draft)
{
    size_t count = draft->type->field_count + (is_member(draft) ? 5 : 4);

    put(draft, "INSERT INTO \"%s%s\" (", draft->prefix, draft->type->table);
    if (is_member(draft))
        put(draft, "\"%s\", ", draft->family_column);
    put(draft, "id, ");
    put_columns(draft);
    put(draft, ") VALUES (");
    for (size_t i = 1; i <= count; i++)
        put(draft, i == 1 ? "?%zu" : ", ?%zu", i);
    put(draft, ")");
}

static void put_feed(struct draft *draft)
{
    size_t count = draft->type->field_count + (is_member(draft) ? 5 : 4);

    put(draft, "INSERT OR FAIL INTO \"%s\" (", draft->type->table);
    if (is_member(draft))
        put(draft, "\"%s\", ", draft->family_column);
    put(draft, "id, ");
    put_columns(draft);
    put(draft, ") SELECT ");
    for (size_t i = 0; i < count; i++)
        put(draft, i == 0 ? "c%zu" : ", c%zu", i);
    put(draft, " FROM " FEED_TABLE);
}

static void put_update(struct draft *draft)
{
    size_t index = is_member(draft) ? 3 : 2;

    put(draft, "UPDATE \"%s%s\" SET ", draft->prefix, draft->type->table);
    for (size_t i = 0; i < draft->type->field_count; i++)
        put(draft, "\"%s\" = ?%zu, ", draft->type->fields[i].name, index++);
    put(draft, "outpost_stamp = ?%zu, outpost_version = ?%zu, outpost_unknown = ?%zu", index,
        index + 1, index + 2);
    put_where_key(draft);
}

static void put_settle(struct draft *draft)
{
    int index = is_member(draft) ? 3 : 2;

    put(draft, "UPDATE \"%s\" SET outpost_stamp = ?%d, outpost_version = ?%d", draft->type->table,
        index, index + 1);
    put_where_key(draft);
}

static void put_settled(struct draft *draft)
{
    put(draft, "outpost_settled(");
    put_key_columns(draft);
    put(draft, ")");
}

static void put_settle_run(struct draft *draft)
{
    put(draft, "UPDATE \"%s\" SET outpost_stamp = ", draft->type->table);
    put_settled(draft);
    put(draft, ", outpost_version = ?%d", after_keys(draft));
    put_where_run(draft);
    put(draft, " AND ");
    put_settled(draft);
    put(draft, " IS NOT NULL");
}

static void put_count_run(struct draft *draft)
{
    put(draft, "SELECT count(*) FROM (SELECT 1");
    put_from(draft);
    put_where_run(draft);
    put(draft, " LIMIT ?%d)", after_keys(draft));
}

static void put_select_all(struct draft *draft)
{
    put(draft, "SELECT ");
    put_columns(draft);
    put(draft, ", ");
    put_key_columns(draft);
    put_from(draft);
}

/* Keys of a table that another table of the same key does not hold. */
static void put_unconfirmed(struct draft *draft, const char *unless)
{
    const char *family = draft->type->family == RECORD_FAMILY_GLOBAL ? "zeroblob(16)"
                         : is_member(draft)                          ? draft->family_column
                                                                     : "t.id";

    put(draft, "INSERT OR IGNORE INTO outpost_unconfirmed (type, family_id, id) SELECT %u, ",
        draft->type->number);
    put_key_columns(draft);
    put_from(draft);
    put(draft, " AS t WHERE NOT EXISTS (SELECT 1 FROM %s o WHERE o.type = %u AND o.family_id = %s",
        unless, draft->type->number, family);
    put(draft, " AND o.id = t.id)");
}

/* Pending records with their rows, where they have one; nothing needs looking up when none is
 * sealed or rejected. */
static void put_unsealed(struct draft *draft)
{
    static const char key[] = " = p.type AND o.family_id = p.family_id AND o.id = p.id";

    put(draft, "SELECT ");
    put_columns_of(draft, "t.");
    put(draft,
        ", p.family_id, p.id, p.generation, t.id FROM outpost_pending p LEFT JOIN \"%s\" t ON",
        draft->type->table);
    if (is_member(draft))
        put(draft, " t.\"%s\" = p.family_id AND", draft->family_column);
    put(draft, " t.id = p.id WHERE p.type = %u AND (p.family_id, p.id) > (?2, ?3) AND (?1 OR NOT (",
        draft->type->number);
    put(draft, "EXISTS (SELECT 1 FROM outpost_outbox o WHERE o.type%s) OR ", key);
    put(draft, "EXISTS (SELECT 1 FROM outpost_rejected o WHERE o.type%s", key);
    put(draft, " AND o.generation = p.generation))) ORDER BY p.family_id, p.id");
}

static void put_statement(struct draft *draft, enum table_statement which)
{
    switch (which) {
    case TABLE_GET:
    case BASE_GET:
        put(draft, "SELECT ");
        put_columns(draft);
        put_from(draft);
        put_where_key(draft);
        break;
    case TABLE_HEAD:
    case BASE_HEAD:
        put(draft, "SELECT outpost_stamp, outpost_version");
        put_from(draft);
        put_where_key(draft);
        break;
    case TABLE_INSERT:
    case BASE_INSERT:
        put_insert(draft);
        break;
    case TABLE_FEED:
        put_feed(draft);
        break;
    case TABLE_UPDATE:
        put_update(draft);
        break;
    case TABLE_SETTLE:
        put_settle(draft);
        break;
    case TABLE_SETTLE_RUN:
        put_settle_run(draft);
        break;
    case TABLE_COUNT_RUN:
        put_count_run(draft);
        break;
    case TABLE_DELETE:
    case BASE_DELETE:
        put(draft, "DELETE");
        put_from(draft);
        put_where_key(draft);
        break;
    case TABLE_FAMILY:
        put(draft, "SELECT id");
        put_from(draft);
        put(draft, " AS t WHERE \"%s\" = ?1", is_member(draft) ? draft->family_column : "id");
        put(draft, " AND NOT EXISTS (SELECT 1 FROM outpost_pending p WHERE p.type = %u",
            draft->type->number);
        put(draft, " AND p.family_id = ?1 AND p.id = t.id)");
        break;
    case TABLE_ALL:
    case BASE_ALL:
        put_select_all(draft);
        break;
    case TABLE_UNSEALED:
        put_unsealed(draft);
        break;
    case TABLE_COUNT:
        put(draft, "SELECT count(*)");
        put_from(draft);
        break;
    case TABLE_UNKNOWN:
    case BASE_UNKNOWN:
        put(draft, "SELECT ");
        put_key_columns(draft);
        put_from(draft);
        put(draft, " WHERE length(outpost_unknown) > 0");
        break;
    case BASE_ANY:
        put(draft, "SELECT 1");
        put_from(draft);
        put(draft, " LIMIT 1");
        break;
    case TABLE_UNCONFIRMED:
        put_unconfirmed(draft, "outpost_pending");
        break;
    case BASE_UNCONFIRMED:
        put_unconfirmed(draft, "outpost_held");
        break;
    case TABLE_STATEMENT_COUNT:
        break;
    }
}

static bool is_base(enum table_statement which)
{
    return which >= BASE_GET;
}

sqlite3_stmt *schema_statement(struct store *store, struct store_table *table,
                               enum table_statement which)
{
    sqlite3_stmt **slot = &table->statements[which];

    if (!store_ready(store))
        return NULL;
    if (*slot == NULL) {
        char family_column[128];
        struct draft draft = {.type = table->type,
                              .family_column = family_column,
                              .prefix = is_base(which) ? "outpost_base_" : ""};
        snprintf(family_column, sizeof family_column, "%s_id",
                 record_root_type(store->schema)->table);
        rpc_buffer_init(&draft.text, STORE_SQL_BYTES_MAX);
        put_statement(&draft, which);
        bool prepared = !draft.text.failed && store_prepare(store, (const char *)draft.text.data,
                                                            (int)draft.text.len, slot);
        rpc_buffer_deinit(&draft.text);
        if (!prepared) {
            store_fail_sqlite(store, "preparing a statement on a record table");
            return NULL;
        }
    }
    if (which == BASE_INSERT)
        table->bases = STORE_SOME;
    sqlite3_reset(*slot);
    return *slot;
}
