/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's SQL of one record type: its table, its base table (the row as it
 * was when the first edit since the server last knew it began, PROTOCOL.md R4)
 * and four triggers that only mark.
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
#include "emit.h"

#include <inttypes.h>

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

/* One record type, with the words that its statements are made of. */
struct device_sql {
    struct output *output;
    struct text *text;
    const struct record_schema *schema;
    const struct record_type *type;
    const char *parent;  /* of a member: the root's id column, "patient_id"; else NULL */
    const char *columns; /* all, "patient_id, id, ..., outpost_unknown" */
};

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

    text_add(sql->text, "CREATE TABLE IF NOT EXISTS %s%s(\n", prefix, type->table);
    if (sql->parent != NULL)
        text_add(sql->text, "  %s BLOB NOT NULL,\n", sql->parent);
    text_add(sql->text, "  id BLOB NOT NULL%s%s,\n", id_rest[0] != '\0' ? " " : "", id_rest);
    for (size_t i = 0; i < type->field_count; i++)
        text_add(sql->text, "  %s %s,\n", type->fields[i].name, column_type(type->fields[i].kind));
    text_add(sql->text, "  outpost_stamp INTEGER NOT NULL DEFAULT 0,\n"
                        "  outpost_version INTEGER NOT NULL DEFAULT 0,\n"
                        "  outpost_unknown BLOB NOT NULL DEFAULT x'',\n");
    if (sql->parent != NULL)
        text_add(sql->text, "  PRIMARY KEY(%s, id)\n", sql->parent);
    else
        text_add(sql->text, "  PRIMARY KEY(id)\n");
    text_add(sql->text, ") WITHOUT ROWID;\n");
}

/* ---- Keys ------------------------------------------------------------------ */

/* row is NEW or OLD. */
static const char *row_is(const struct device_sql *sql, const char *row)
{
    if (sql->parent == NULL)
        return output_string(sql->output, "id = %s.id", row);
    return output_string(sql->output, "%s = %s.%s AND id = %s.id", sql->parent, row, sql->parent,
                         row);
}

static const char *family_of(const struct device_sql *sql, const char *row)
{
    switch (sql->type->family) {
    case RECORD_FAMILY_ROOT:
        return output_string(sql->output, "%s.id", row);
    case RECORD_FAMILY_MEMBER:
        return output_string(sql->output, "%s.%s", row, sql->parent);
    case RECORD_FAMILY_GLOBAL:
        break;
    }
    return "x'00000000000000000000000000000000'";
}

static const char *pending_is(const struct device_sql *sql, const char *row)
{
    return output_string(sql->output, "type = %" PRIu32 " AND family_id = %s AND id = %s.id",
                         sql->type->number, family_of(sql, row), row);
}

/* ---- What the triggers do ------------------------------------------------- */

static void add_trigger_head(const struct device_sql *sql, const char *name, const char *event,
                             const char *condition)
{
    const char *table = sql->type->table;

    text_add(sql->text, "DROP TRIGGER IF EXISTS outpost_%s_%s;\n", table, name);
    text_add(sql->text, "CREATE TRIGGER outpost_%s_%s %s ON %s\n", table, name, event, table);
    text_add(sql->text, "WHEN (SELECT applying FROM outpost_state) = 0%s\nBEGIN\n", condition);
}

static void add_base_copy(const struct device_sql *sql, const char *row)
{
    const char *table = sql->type->table;

    text_add(sql->text, "  INSERT INTO outpost_base_%s(", table);
    text_add_words(sql->text, sql->columns, "      ", EMIT_SQL_COLUMNS - 1);
    text_add(sql->text, ")\n    SELECT ");
    text_add_words(sql->text, sql->columns, "      ", EMIT_SQL_COLUMNS);
    text_add(sql->text, "\n    FROM %s WHERE %s\n", table, row_is(sql, row));
    text_add(sql->text, "    AND NOT EXISTS (SELECT 1 FROM outpost_base_%s\n      WHERE %s)\n",
             table, row_is(sql, row));
    text_add(sql->text, "    AND NOT EXISTS (SELECT 1 FROM outpost_pending\n      WHERE %s);\n",
             pending_is(sql, row));
}

static void add_mark(const struct device_sql *sql, const char *row)
{
    const char *pending = pending_is(sql, row);

    text_add(sql->text, "  INSERT INTO outpost_pending(type, family_id, id, generation)\n");
    text_add(sql->text, "    SELECT %" PRIu32 ", %s, %s.id, 0\n", sql->type->number,
             family_of(sql, row), row);
    text_add(sql->text, "    WHERE NOT EXISTS (SELECT 1 FROM outpost_pending\n      WHERE %s);\n",
             pending);
    text_add(sql->text, "  UPDATE outpost_pending SET generation = generation + 1\n    WHERE %s;\n",
             pending);
}

static void add_id_check(const struct device_sql *sql, const char *column, const char *advice)
{
    text_add(sql->text,
             "  SELECT RAISE(ABORT,\n"
             "    '%s.%s must be a BLOB of 16 bytes%s')\n"
             "    WHERE typeof(NEW.%s) <> 'blob' OR length(NEW.%s) <> 16;\n",
             sql->type->table, column, advice, column, column);
}

static void add_id_constant(const struct device_sql *sql, const char *column)
{
    text_add(sql->text,
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
    const char *pending = pending_is(sql, "OLD");
    const char *root = sql->type->table;

    text_add(sql->text,
             "  -- OR IGNORE turns into OR REPLACE if that is what deletes: then children stay.\n"
             "  INSERT OR IGNORE INTO outpost_pending(type, family_id, id, generation)\n"
             "    SELECT type, family_id, id, -generation FROM outpost_pending\n"
             "    WHERE %s;\n",
             pending);
    for (size_t i = 0; i < sql->schema->type_count; i++) {
        const struct record_type *member = &sql->schema->types[i];
        if (member->family == RECORD_FAMILY_MEMBER)
            text_add(sql->text,
                     "  DELETE FROM %s WHERE %s_id = OLD.id\n"
                     "    AND EXISTS (SELECT 1 FROM outpost_pending\n"
                     "      WHERE %s AND generation > 0);\n",
                     member->table, root, pending);
    }
    text_add(sql->text,
             "  UPDATE outpost_pending SET generation = abs(generation)\n"
             "    WHERE %s;\n",
             pending);
}

/* ---- Triggers ------------------------------------------------------------- */

static void add_insert_triggers(const struct device_sql *sql)
{
    const char *exists =
        output_string(sql->output, "\n  AND EXISTS (SELECT 1 FROM %s\n    WHERE %s)",
                      sql->type->table, row_is(sql, "NEW"));

    add_trigger_head(sql, "before_insert", "BEFORE INSERT", exists);
    add_base_copy(sql, "NEW");
    add_mark(sql, "NEW");
    text_add(sql->text, "END;\n");

    add_trigger_head(sql, "after_insert", "AFTER INSERT", "");
    if (sql->parent != NULL)
        add_id_check(sql, sql->parent, "");
    add_id_check(sql, "id", ", or left out");
    add_mark(sql, "NEW");
    text_add(sql->text, "END;\n");
}

static void add_update_trigger(const struct device_sql *sql)
{
    add_trigger_head(sql, "before_update", "BEFORE UPDATE", "");
    if (sql->parent != NULL)
        add_id_constant(sql, sql->parent);
    add_id_constant(sql, "id");
    add_base_copy(sql, "OLD");
    add_mark(sql, "OLD");
    text_add(sql->text, "END;\n");
}

static void add_delete_trigger(const struct device_sql *sql)
{
    add_trigger_head(sql, "before_delete", "BEFORE DELETE", "");
    add_base_copy(sql, "OLD");
    add_mark(sql, "OLD");
    if (sql->type->family == RECORD_FAMILY_ROOT)
        add_family_delete(sql);
    text_add(sql->text, "END;\n");
}

static const char *all_columns(struct output *output, const struct record_type *type,
                               const char *parent)
{
    struct text text = {0};

    if (parent != NULL)
        text_add(&text, "%s, ", parent);
    text_add(&text, "id, ");
    for (size_t i = 0; i < type->field_count; i++)
        text_add(&text, "%s, ", type->fields[i].name);
    text_add(&text, "outpost_stamp, outpost_version, outpost_unknown");
    const char *columns = output_string(output, "%s", text.data);
    text_deinit(&text);
    return columns;
}

void emit_device_sql(struct output *output, struct text *text, const struct record_schema *schema,
                     const struct record_type *type)
{
    struct device_sql sql = {.output = output, .text = text, .schema = schema, .type = type};

    if (type->family == RECORD_FAMILY_MEMBER)
        sql.parent = output_string(output, "%s_id", record_root_type(schema)->table);
    sql.columns = all_columns(output, type, sql.parent);
    add_table(&sql, "", id_default);
    add_table(&sql, "outpost_base_", "");
    add_insert_triggers(&sql);
    add_update_trigger(&sql);
    add_delete_trigger(&sql);
}
