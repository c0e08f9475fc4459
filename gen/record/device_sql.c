/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's SQL of one record type: its table, its base table (the row as it
 * was when the first edit since the server last knew it began, PROTOCOL.md R4)
 * and four triggers that only mark. It is put together on the device: the texts of
 * all types would be a fifth of the library, and differ by names alone.
 *
 * What the triggers rest on; each line has a test in device_sql_test.c:
 *
 *   - They run on SQLite 3.9 with built-in functions only, and do nothing while
 *     outpost_state.applying is not 0.
 *   - An edit has two steps: copy the row to the base table, unless it has a base
 *     or is pending (then it was made here, and the server knows nothing of it);
 *     then mark. In this order, since marking makes it pending.
 *   - BEFORE INSERT sees only a row that is there already: OR REPLACE and upserts
 *     fire it before they touch that row. A new row is marked AFTER INSERT: before,
 *     a left-out id is not yet the one that the row will have, because SQLite
 *     evaluates its default once more for the trigger.
 *   - No statement has a conflict clause that decides about data: the clause of the
 *     app's own statement (INSERT OR REPLACE, an upsert) overrides those inside
 *     triggers, and marks would be lost. That rule is also put to use, once: see
 *     add_family_delete.
 */
#include "outpost/record_device_sql.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* A piece of a statement with a few names in it. */
enum { PIECE_BYTES = 1024 };

/* A version 4 UUID. A blob || a blob is text with the same bytes; CAST makes it
 * a blob again, zero bytes kept. The literals are the bytes that have the version
 * and the variant in their high bits; one of them is picked. The brackets keep
 * every part at an even length: in a UTF-16 database || cuts an odd one. */
static const char id_default[] =
    "DEFAULT (CAST(\n"
    "    randomblob(6) ||\n"
    "    (substr(x'404142434445464748494a4b4c4d4e4f', 1 + (random() & 15), 1) ||\n"
    "      randomblob(1)) ||\n"
    "    (substr(CASE WHEN random() < 0\n"
    "      THEN x'808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'\n"
    "      ELSE x'a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf'\n"
    "      END, 1 + (random() & 31), 1) || randomblob(1)) ||\n"
    "    randomblob(6) AS BLOB))";

/* What the triggers say of NEW or OLD. */
struct trigger_row {
    const char *name;
    char family[PIECE_BYTES];  /* its family's id: "NEW.patient_id" */
    char is[PIECE_BYTES];      /* the condition that a row of the table is this one */
    char pending[PIECE_BYTES]; /* that a row of outpost_pending is its mark */
};

/* One record type, with the words that its statements are made of. */
struct device_sql {
    struct rpc_buffer *text;
    const struct record_schema *schema;
    const struct record_type *type;
    const char *parent; /* of a member: the root's id column, "patient_id"; else NULL */
    struct trigger_row now, old;
};

static bool __attribute__((format(printf, 2, 0)))
format(char piece[PIECE_BYTES], const char *text, va_list arguments)
{
    int len = vsnprintf(piece, PIECE_BYTES, text, arguments);

    return len >= 0 && len < PIECE_BYTES;
}

static void __attribute__((format(printf, 2, 3)))
add(const struct device_sql *sql, const char *text, ...)
{
    char piece[PIECE_BYTES];
    va_list arguments;

    va_start(arguments, text);
    if (!format(piece, text, arguments))
        sql->text->failed = true;
    else
        rpc_buffer_append(sql->text, piece, strlen(piece));
    va_end(arguments);
}

static void __attribute__((format(printf, 3, 4)))
put(const struct device_sql *sql, char piece[PIECE_BYTES], const char *text, ...)
{
    va_list arguments;

    va_start(arguments, text);
    if (!format(piece, text, arguments))
        sql->text->failed = true;
    va_end(arguments);
}

/* ---- Tables --------------------------------------------------------------- */

static const char *column_type(enum record_kind kind)
{
    switch (kind) {
    case RECORD_KIND_STRING:
        return "TEXT NOT NULL DEFAULT ''";
    case RECORD_KIND_BYTES:
        return "BLOB NOT NULL DEFAULT x''";
    case RECORD_KIND_DOUBLE:
    case RECORD_KIND_FLOAT:
        return "REAL NOT NULL DEFAULT 0.0";
    default:
        return "INTEGER NOT NULL DEFAULT 0";
    }
}

static void add_table(const struct device_sql *sql, const char *prefix, const char *id_rest)
{
    const struct record_type *type = sql->type;

    add(sql, "CREATE TABLE IF NOT EXISTS %s%s(\n", prefix, type->table);
    if (sql->parent != NULL)
        add(sql, "  %s BLOB NOT NULL,\n", sql->parent);
    add(sql, "  id BLOB NOT NULL%s%s,\n", id_rest[0] != '\0' ? " " : "", id_rest);
    for (size_t i = 0; i < type->field_count; i++)
        add(sql, "  %s %s,\n", type->fields[i].name, column_type(type->fields[i].kind));
    add(sql, "  outpost_stamp INTEGER NOT NULL DEFAULT 0,\n"
             "  outpost_version INTEGER NOT NULL DEFAULT 0,\n"
             "  outpost_unknown BLOB NOT NULL DEFAULT x'',\n");
    if (sql->parent != NULL)
        add(sql, "  PRIMARY KEY(%s, id)\n", sql->parent);
    else
        add(sql, "  PRIMARY KEY(id)\n");
    add(sql, ") WITHOUT ROWID;\n");
}

/* ---- Keys ------------------------------------------------------------------ */

static void describe_family(const struct device_sql *sql, struct trigger_row *row)
{
    switch (sql->type->family) {
    case RECORD_FAMILY_ROOT:
        put(sql, row->family, "%s.id", row->name);
        break;
    case RECORD_FAMILY_MEMBER:
        put(sql, row->family, "%s.%s", row->name, sql->parent);
        break;
    case RECORD_FAMILY_GLOBAL:
        put(sql, row->family, "x'00000000000000000000000000000000'");
        break;
    }
}

static void describe_row(const struct device_sql *sql, struct trigger_row *row, const char *name)
{
    row->name = name;
    describe_family(sql, row);
    if (sql->parent == NULL)
        put(sql, row->is, "id = %s.id", name);
    else
        put(sql, row->is, "%s = %s.%s AND id = %s.id", sql->parent, name, sql->parent, name);
    put(sql, row->pending, "type = %" PRIu32 " AND family_id = %s AND id = %s.id",
        sql->type->number, row->family, name);
}

/* ---- What the triggers do ------------------------------------------------- */

static void add_trigger_head(const struct device_sql *sql, const char *name, const char *event,
                             const char *condition)
{
    const char *table = sql->type->table;

    add(sql, "DROP TRIGGER IF EXISTS outpost_%s_%s;\n", table, name);
    add(sql, "CREATE TRIGGER outpost_%s_%s %s ON %s\n", table, name, event, table);
    add(sql, "WHEN (SELECT applying FROM outpost_state) = 0%s\nBEGIN\n", condition);
}

static void add_columns(const struct device_sql *sql)
{
    if (sql->parent != NULL)
        add(sql, "%s, ", sql->parent);
    add(sql, "id, ");
    for (size_t i = 0; i < sql->type->field_count; i++)
        add(sql, "%s, ", sql->type->fields[i].name);
    add(sql, "outpost_stamp, outpost_version, outpost_unknown");
}

static void add_base_copy(const struct device_sql *sql, const struct trigger_row *row)
{
    const char *table = sql->type->table;

    add(sql, "  INSERT INTO outpost_base_%s(", table);
    add_columns(sql);
    add(sql, ")\n    SELECT ");
    add_columns(sql);
    add(sql, "\n    FROM %s WHERE %s\n", table, row->is);
    add(sql, "    AND NOT EXISTS (SELECT 1 FROM outpost_base_%s\n      WHERE %s)\n", table,
        row->is);
    add(sql, "    AND NOT EXISTS (SELECT 1 FROM outpost_pending\n      WHERE %s);\n", row->pending);
}

static void add_mark(const struct device_sql *sql, const struct trigger_row *row)
{
    add(sql, "  INSERT INTO outpost_pending(type, family_id, id, generation)\n");
    add(sql, "    SELECT %" PRIu32 ", %s, %s.id, 0\n", sql->type->number, row->family, row->name);
    add(sql, "    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending\n      WHERE %s);\n",
        row->pending);
    add(sql, "  UPDATE outpost_pending SET generation = generation + 1\n    WHERE %s;\n",
        row->pending);
}

static void add_id_check(const struct device_sql *sql, const char *column, const char *advice)
{
    add(sql,
        "  SELECT RAISE(ABORT,\n"
        "    '%s.%s must be a BLOB of 16 bytes%s')\n"
        "    WHERE typeof(NEW.%s) <> 'blob' OR length(NEW.%s) <> 16;\n",
        sql->type->table, column, advice, column, column);
}

static void add_id_constant(const struct device_sql *sql, const char *column)
{
    add(sql,
        "  SELECT RAISE(ABORT,\n"
        "    '%s.%s never changes: delete the row and insert another')\n"
        "    WHERE NEW.%s IS NOT OLD.%s;\n",
        sql->type->table, column, column, column);
}

/* The root's children go with it, each marked by its own trigger.
 *
 * With PRAGMA recursive_triggers, OR REPLACE deletes the row that it replaces
 * through this trigger too, and the children must stay. The two are told apart
 * by the rule that the outer statement's conflict clause overrides a trigger's:
 * the INSERT OR IGNORE does nothing in a DELETE, and under OR REPLACE it really
 * replaces, so that the generation turns negative for the rest of the trigger. */
static void add_family_delete(const struct device_sql *sql)
{
    const char *pending = sql->old.pending;
    const char *root = sql->type->table;

    add(sql,
        "  -- OR IGNORE turns into OR REPLACE if that is what deletes: then children stay.\n"
        "  INSERT OR IGNORE INTO outpost_pending(type, family_id, id, generation)\n"
        "    SELECT type, family_id, id, -generation FROM outpost_pending\n"
        "    WHERE %s;\n",
        pending);
    for (size_t i = 0; i < sql->schema->type_count; i++) {
        const struct record_type *member = &sql->schema->types[i];
        if (member->family == RECORD_FAMILY_MEMBER)
            add(sql,
                "  DELETE FROM %s WHERE %s_id = OLD.id\n"
                "    AND EXISTS (SELECT 1 FROM outpost_pending\n"
                "      WHERE %s AND generation > 0);\n",
                member->table, root, pending);
    }
    add(sql,
        "  UPDATE outpost_pending SET generation = abs(generation)\n"
        "    WHERE %s;\n",
        pending);
}

/* ---- Triggers ------------------------------------------------------------- */

static void add_insert_triggers(const struct device_sql *sql)
{
    char exists[PIECE_BYTES];

    put(sql, exists, "\n  AND EXISTS (SELECT 1 FROM %s\n    WHERE %s)", sql->type->table,
        sql->now.is);
    add_trigger_head(sql, "before_insert", "BEFORE INSERT", exists);
    add_base_copy(sql, &sql->now);
    add_mark(sql, &sql->now);
    add(sql, "END;\n");

    add_trigger_head(sql, "after_insert", "AFTER INSERT", "");
    if (sql->parent != NULL)
        add_id_check(sql, sql->parent, "");
    add_id_check(sql, "id", ", or left out");
    add_mark(sql, &sql->now);
    add(sql, "END;\n");
}

static void add_update_trigger(const struct device_sql *sql)
{
    add_trigger_head(sql, "before_update", "BEFORE UPDATE", "");
    if (sql->parent != NULL)
        add_id_constant(sql, sql->parent);
    add_id_constant(sql, "id");
    add_base_copy(sql, &sql->old);
    add_mark(sql, &sql->old);
    add(sql, "END;\n");
}

static void add_delete_trigger(const struct device_sql *sql)
{
    add_trigger_head(sql, "before_delete", "BEFORE DELETE", "");
    add_base_copy(sql, &sql->old);
    add_mark(sql, &sql->old);
    if (sql->type->family == RECORD_FAMILY_ROOT)
        add_family_delete(sql);
    add(sql, "END;\n");
}

void record_device_sql(const struct record_schema *schema, const struct record_type *type,
                       struct rpc_buffer *text)
{
    struct device_sql sql = {.text = text, .schema = schema, .type = type};
    char parent[PIECE_BYTES];

    if (type->family == RECORD_FAMILY_MEMBER) {
        put(&sql, parent, "%s_id", record_root_type(schema)->table);
        sql.parent = parent;
    }
    describe_row(&sql, &sql.now, "NEW");
    describe_row(&sql, &sql.old, "OLD");
    add_table(&sql, "", id_default);
    add_table(&sql, "outpost_base_", "");
    add_insert_triggers(&sql);
    add_update_trigger(&sql);
    add_delete_trigger(&sql);
    rpc_buffer_append(text, "", 1);
}
