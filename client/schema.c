/* SPDX-License-Identifier: Apache-2.0
 *
 * How the tables come to be; see schema.h.
 *
 * What the database should look like is built in an empty in-memory database
 * and read back from there: so a missing column is added with exactly the
 * declaration that a new table would have had, and a trigger that the generator
 * writes differently now is replaced. That costs more than all else of opening, so
 * what was compared is noted, with SQLite's count of schema changes: while both
 * stand, nothing has to be compared, and nothing is written.
 */
#include "schema.h"

#include "feed.h"
#include "relearn.h"
#include "withheld.h"

#include "outpost/record_device_sql.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* Keys: (type, family_id, id); family_id is 16 zero bytes for a global record.
 * Blobs of opaque bytes are the server's. */
static const char own_tables[] =
    "CREATE TABLE outpost_state ("
    " one INTEGER PRIMARY KEY CHECK (one = 1),"
    /* 1 inside our transactions: the triggers then mark nothing. */
    " applying INTEGER NOT NULL DEFAULT 0,"
    " schema_revision INTEGER NOT NULL DEFAULT 0,"
    /* Which texts the schema was compared with, at which of its versions. */
    " schema_checked TEXT NOT NULL DEFAULT '',"
    " device_id BLOB NOT NULL DEFAULT x'',"
    " facility_id BLOB NOT NULL DEFAULT x'',"
    " enrolment_region_id BLOB NOT NULL DEFAULT x'',"
    " family_region_id BLOB NOT NULL DEFAULT x'',"
    " server TEXT NOT NULL DEFAULT '',"
    " admin INTEGER NOT NULL DEFAULT 0,"
    " accepts_zstd INTEGER NOT NULL DEFAULT 0,"
    /* The last Welcome's settings, for what is done before the next; 0: none yet. */
    " push_batch INTEGER NOT NULL DEFAULT 0,"
    " batch_bytes INTEGER NOT NULL DEFAULT 0,"
    " sync_interval_s INTEGER NOT NULL DEFAULT 0,"
    " pause INTEGER NOT NULL DEFAULT 0,"
    " compression INTEGER NOT NULL DEFAULT 0,"
    /* Schema revisions that it names for this device; 0: none. */
    " minimum_revision INTEGER NOT NULL DEFAULT 0,"
    " recommended_revision INTEGER NOT NULL DEFAULT 0,"
    /* What one message may hold on the link as it was; 0: nothing learned yet. */
    " link_bytes INTEGER NOT NULL DEFAULT 0,"
    " cursor BLOB NOT NULL DEFAULT x'',"
    " receipt BLOB NOT NULL DEFAULT x'',"
    " token BLOB NOT NULL DEFAULT x'',"
    /* 1: a region was reset, and not all is offered yet (R22). */
    " offer_due INTEGER NOT NULL DEFAULT 0,"
    /* 1: nothing was received since the last CaughtUp. */
    " caught_up INTEGER NOT NULL DEFAULT 0,"
    /* When all that is held is read again (R24), by the server's clock; 0: not yet. */
    " check_at_ms INTEGER NOT NULL DEFAULT 0,"
    /* How many mutations were ever sealed: numbers them (STORE_SEALED_BITS). */
    " sealed_last INTEGER NOT NULL DEFAULT 0,"
    /* The sums over held copies (R24). */
    " global_records INTEGER NOT NULL DEFAULT 0,"
    " global_digest INTEGER NOT NULL DEFAULT 0,"
    " family_records INTEGER NOT NULL DEFAULT 0,"
    " family_digest INTEGER NOT NULL DEFAULT 0);"

    /* Records that differ from what the server last told; written by triggers. */
    "CREATE TABLE outpost_pending ("
    " type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL,"
    " generation INTEGER NOT NULL,"
    " PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;"

    /* The server's copy of a pending record where it is not the base image; body
     * NULL: the server's copy is not held. */
    "CREATE TABLE outpost_held ("
    " type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL,"
    " version INTEGER NOT NULL, deleted INTEGER NOT NULL, stamp INTEGER NOT NULL, body BLOB,"
    " PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;"

    /* Sealed mutations, sent in the order of n (STORE_SEALED_BITS), which begins with rank. */
    "CREATE TABLE outpost_outbox ("
    " n INTEGER PRIMARY KEY,"
    " type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL,"
    " rank INTEGER NOT NULL, mutation BLOB NOT NULL, mutation_id BLOB NOT NULL,"
    /* sealed_body empty: it is the mutation's. */
    " deletes INTEGER NOT NULL, sealed_body BLOB NOT NULL, generation INTEGER NOT NULL,"
    " UNIQUE (type, family_id, id));"

    /* Acknowledged mutations, to give back to a restored server (R8). */
    "CREATE TABLE outpost_journal ("
    " n INTEGER PRIMARY KEY, type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL,"
    " mutation BLOB NOT NULL, mutation_id BLOB NOT NULL, answered_at_ms INTEGER NOT NULL,"
    /* The record's after it; 0: it was not accepted. */
    " version INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX outpost_journal_age ON outpost_journal (answered_at_ms);"

    /* What goes again, in front of the outbox: offers, then the journal (resend.h). */
    "CREATE TABLE outpost_resend ("
    " n INTEGER PRIMARY KEY AUTOINCREMENT,"
    " type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL,"
    " rank INTEGER NOT NULL, mutation BLOB NOT NULL, mutation_id BLOB NOT NULL UNIQUE,"
    " acknowledged_version INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX outpost_resend_order ON outpost_resend (rank, n);"

    /* What of that the last session had answers to: its snapshots leave it out (R21). */
    "CREATE TABLE outpost_resent ("
    " type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL,"
    " answered_at_ms INTEGER NOT NULL, PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;"

    /* Why the server (or R25) refused a record, as it was at that generation. */
    "CREATE TABLE outpost_rejected ("
    " type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL,"
    " reason INTEGER NOT NULL, field INTEGER NOT NULL, generation INTEGER NOT NULL,"
    " PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;"

    /* What this device's own checks find wrong; it is sent all the same. */
    "CREATE TABLE outpost_warning ("
    " type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL,"
    " reason INTEGER NOT NULL, field INTEGER NOT NULL,"
    " PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;"

    /* Families that left this device's scope (R20). */
    "CREATE TABLE outpost_left (family_id BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID;"

    /* Held copies that went while work of this device hung on them (aside.h);
     * since_ms 0: since the last CaughtUp. */
    "CREATE TABLE outpost_aside ("
    " type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL,"
    " version INTEGER NOT NULL, deleted INTEGER NOT NULL, body BLOB NOT NULL,"
    " since_ms INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;"

    /* What the server said at the last CaughtUp. */
    "CREATE TABLE outpost_region ("
    " region_id BLOB NOT NULL PRIMARY KEY,"
    " seq INTEGER NOT NULL, records INTEGER NOT NULL, digest INTEGER NOT NULL) WITHOUT ROWID;"

    /* Regions that differed at a CaughtUp (R24); state as in repair.h. */
    "CREATE TABLE outpost_repair ("
    " region_id BLOB NOT NULL PRIMARY KEY, state INTEGER NOT NULL, tries INTEGER NOT NULL,"
    " next_at_ms INTEGER NOT NULL, difference INTEGER NOT NULL) WITHOUT ROWID;"

    /* Held when a snapshot began, and not met in it yet (R21). */
    "CREATE TABLE outpost_unconfirmed ("
    " type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL,"
    " PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;"

    /* Records of types that this version does not know (I9). */
    "CREATE TABLE outpost_unknown_record ("
    " type INTEGER NOT NULL, family_id BLOB NOT NULL, id BLOB NOT NULL,"
    " version INTEGER NOT NULL, deleted INTEGER NOT NULL, stamp INTEGER NOT NULL,"
    " body BLOB NOT NULL,"
    " PRIMARY KEY (type, family_id, id)) WITHOUT ROWID;"
    "CREATE INDEX outpost_unknown_record_family ON outpost_unknown_record (family_id);"

    /* Record types (field 0) and fields that the app is not to show; name is the table, or
     * table.column. An app reads it (withheld.h). */
    "CREATE TABLE outpost_withheld ("
    " type INTEGER NOT NULL, field INTEGER NOT NULL, name TEXT NOT NULL,"
    " PRIMARY KEY (type, field)) WITHOUT ROWID;"

    "CREATE TABLE outpost_identity ("
    " one INTEGER PRIMARY KEY CHECK (one = 1),"
    " key_pem TEXT NOT NULL, certificate_pem TEXT NOT NULL, ca_pem TEXT NOT NULL,"
    " tls_session BLOB NOT NULL,"
    /* Of an identity that was asked for and is not here yet (R23); empty: none. */
    " next_key_pem TEXT NOT NULL DEFAULT '');";

/* ---- The wanted database ---------------------------------------------------------------- */

static bool make_type(sqlite3 *wanted, const struct record_schema *schema,
                      const struct record_type *type)
{
    struct rpc_buffer sql;

    rpc_buffer_init(&sql, RECORD_DEVICE_SQL_BYTES_MAX);
    record_device_sql(schema, type, &sql);
    bool made =
        !sql.failed && sqlite3_exec(wanted, (const char *)sql.data, NULL, NULL, NULL) == SQLITE_OK;
    rpc_buffer_deinit(&sql);
    return made;
}

static sqlite3 *wanted_new(struct store *store)
{
    sqlite3 *wanted = NULL;
    bool made = sqlite3_open(":memory:", &wanted) == SQLITE_OK &&
                sqlite3_exec(wanted, own_tables, NULL, NULL, NULL) == SQLITE_OK;

    for (size_t i = 0; made && i < store->schema->type_count; i++)
        made = make_type(wanted, store->schema, &store->schema->types[i]);
    if (!made) {
        store_fail(store, OUTPOST_BUG, "the schema's SQL does not run: %s",
                   wanted != NULL ? sqlite3_errmsg(wanted) : "no memory");
        sqlite3_close(wanted);
        return NULL;
    }
    return wanted;
}

/* Runs a text made of parts; %Q, %w as in sqlite3_mprintf. */
static bool execute_format(struct store *store, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    char *sql = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    bool done =
        sql != NULL ? store_execute(store, sql) : store_fail(store, OUTPOST_IO, "no memory");
    sqlite3_free(sql);
    return done;
}

static sqlite3_stmt *prepare_on(struct store *store, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    if (store_ok(store) && sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        store_fail(store, OUTPOST_BAD_INPUT, "reading the database's schema: %s",
                   sqlite3_errstr(sqlite3_errcode(db)));
    return statement;
}

/* ---- Comparing and mending ------------------------------------------------------------------ */

/* What the comparison finds is only counted when look is set, else mended. */
struct mending {
    struct store *store;
    sqlite3 *wanted;
    bool look;
    size_t differences;
};

static bool mend(struct mending *mending, const char *sql)
{
    mending->differences++;
    return mending->look || store_execute(mending->store, sql);
}

static bool add_column(struct mending *mending, const char *table, sqlite3_stmt *column)
{
    const char *default_value = (const char *)sqlite3_column_text(column, 4);

    mending->differences++;
    return mending->look ||
           execute_format(mending->store, "ALTER TABLE \"%w\" ADD COLUMN \"%w\" %s%s DEFAULT %s",
                          table, sqlite3_column_text(column, 1), sqlite3_column_text(column, 2),
                          sqlite3_column_int(column, 3) ? " NOT NULL" : "",
                          default_value != NULL ? default_value : "NULL");
}

static bool has_column(struct mending *mending, const char *table, const char *name)
{
    return sqlite3_table_column_metadata(mending->store->db, "main", table, name, NULL, NULL, NULL,
                                         NULL, NULL) == SQLITE_OK;
}

static bool mend_columns(struct mending *mending, const char *table)
{
    char *sql = sqlite3_mprintf("PRAGMA table_info(\"%w\")", table);
    sqlite3_stmt *columns = sql != NULL ? prepare_on(mending->store, mending->wanted, sql) : NULL;
    bool good = columns != NULL;

    while (good && sqlite3_step(columns) == SQLITE_ROW)
        if (!has_column(mending, table, (const char *)sqlite3_column_text(columns, 1)))
            good = add_column(mending, table, columns);
    sqlite3_finalize(columns);
    sqlite3_free(sql);
    return good;
}

/* The SQL of an object that is there, or NULL; sqlite3_free. */
static char *present_sql(struct mending *mending, const char *name)
{
    sqlite3_stmt *statement = prepare_on(mending->store, mending->store->db,
                                         "SELECT sql FROM sqlite_master WHERE name = ?1");
    char *sql = NULL;

    if (statement == NULL)
        return NULL;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW)
        sql = sqlite3_mprintf("%s", sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return sql;
}

static bool mend_object(struct mending *mending, const char *type, const char *name,
                        const char *sql)
{
    char *present = present_sql(mending, name);
    bool good = store_ok(mending->store);

    if (good && present == NULL)
        good = mend(mending, sql);
    else if (good && strcmp(type, "table") == 0)
        good = mend_columns(mending, name);
    else if (good && strcmp(present, sql) != 0) {
        mending->differences++;
        if (!mending->look)
            good = execute_format(mending->store, "DROP %s \"%w\"", type, name) &&
                   store_execute(mending->store, sql);
    }
    sqlite3_free(present);
    return good;
}

/* Until there was sealed_last, n was a number alone, and an index had the order of sending. */
static bool mend_outbox(struct mending *mending)
{
    static const char order_in_n[] =
        "DROP INDEX outpost_outbox_order;"
        "UPDATE outpost_state SET sealed_last = max("
        " coalesce((SELECT max(n) FROM outpost_outbox), 0),"
        " coalesce((SELECT max(n) FROM outpost_journal), 0));"
        "UPDATE outpost_outbox SET n = (rank << " STORE_SEALED_BITS ") | n";
    char *index = present_sql(mending, "outpost_outbox_order");
    bool good = store_ok(mending->store) && (index == NULL || mend(mending, order_in_n));

    sqlite3_free(index);
    return good;
}

static bool mend_all(struct mending *mending)
{
    sqlite3_stmt *objects = prepare_on(
        mending->store, mending->wanted,
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE"
        " 'sqlite_%' ORDER BY CASE type WHEN 'table' THEN 0 ELSE 1 END, rowid");
    bool good = objects != NULL;

    while (good && sqlite3_step(objects) == SQLITE_ROW)
        good = mend_object(mending, (const char *)sqlite3_column_text(objects, 0),
                           (const char *)sqlite3_column_text(objects, 1),
                           (const char *)sqlite3_column_text(objects, 2));
    sqlite3_finalize(objects);
    return good && mend_outbox(mending);
}

/* ---- Ensuring
 * ------------------------------------------------------------------------------------- */

static bool read_number(struct store *store, const char *sql, int64_t *number_out)
{
    sqlite3_stmt *statement = prepare_on(store, store->db, sql);
    int result;

    if (statement == NULL)
        return false;
    result = sqlite3_step(statement);
    if (result == SQLITE_ROW)
        *number_out = sqlite3_column_int64(statement, 0);
    else if (result != SQLITE_DONE)
        store_fail_sqlite(store, "reading the database");
    sqlite3_finalize(statement);
    return store_ok(store);
}

bool schema_present(struct store *store, bool *present_out)
{
    int64_t count = 0;

    if (!read_number(store, "SELECT count(*) FROM sqlite_master WHERE name = 'outpost_state'",
                     &count))
        return false;
    *present_out = count > 0;
    return true;
}

static bool read_revision(struct store *store, int64_t *revision_out)
{
    bool present;

    *revision_out = -1;
    if (!schema_present(store, &present))
        return false;
    return !present ||
           read_number(store, "SELECT schema_revision FROM outpost_state", revision_out);
}

enum { CHECKED_TEXT_LEN = 64 };

/* What is to be noted for a database whose schema has that version. False: no memory. */
static bool checked_text(struct store *store, int64_t schema_version,
                         char text_out[CHECKED_TEXT_LEN])
{
    const struct record_schema *schema = store->schema;
    struct rpc_buffer sql;
    struct rpc_bytes all;
    uint8_t hash[RECORD_SHA256_LEN];
    uint64_t texts = 0;

    rpc_buffer_init(&sql, (schema->type_count + 1) * RECORD_DEVICE_SQL_BYTES_MAX);
    rpc_buffer_append(&sql, own_tables, sizeof own_tables);
    for (size_t i = 0; i < schema->type_count; i++)
        record_device_sql(schema, &schema->types[i], &sql);
    bool good = !sql.failed;
    all = rpc_buffer_view(&sql);
    record_hash(store->hasher, &all, 1, hash);
    rpc_buffer_deinit(&sql);
    for (size_t i = 0; i < sizeof texts; i++)
        texts = texts << 8 | hash[i];
    snprintf(text_out, CHECKED_TEXT_LEN, "%016llx at %lld", (unsigned long long)texts,
             (long long)schema_version);
    return good;
}

/* An older version's state row does not have the note. */
static bool is_checked(struct store *store, bool *checked_out)
{
    char wanted[CHECKED_TEXT_LEN];
    int64_t version = 0;
    sqlite3_stmt *statement = NULL;

    *checked_out = false;
    if (!read_number(store, "PRAGMA schema_version", &version))
        return false;
    if (!checked_text(store, version, wanted))
        return true;
    if (sqlite3_prepare_v2(store->db, "SELECT schema_checked FROM outpost_state", -1, &statement,
                           NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        *checked_out = strcmp((const char *)sqlite3_column_text(statement, 0), wanted) == 0;
    sqlite3_finalize(statement);
    return true;
}

/* A note that cannot be written costs the next opening a comparison. */
static void note_checked(struct store *store, int64_t schema_version)
{
    char text[CHECKED_TEXT_LEN];
    char *sql;

    if (!checked_text(store, schema_version, text))
        return;
    sql = sqlite3_mprintf("UPDATE outpost_state SET schema_checked = %Q", text);
    if (sql != NULL)
        sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
}

static bool mend_in_transaction(struct mending *mending, int64_t *version_out)
{
    struct store *store = mending->store;

    if (!store_begin_bare(store))
        return false;
    mending->look = false;
    if (!mend_all(mending) ||
        !store_execute(store, "INSERT INTO outpost_state (one) SELECT 1"
                              " WHERE NOT EXISTS (SELECT 1 FROM outpost_state)") ||
        !read_number(store, "PRAGMA schema_version", version_out))
        return false;
    return store_commit_bare(store);
}

static bool ensure(struct store *store)
{
    struct mending mending = {.store = store, .look = true};
    int64_t revision, version = 0;
    bool good, checked = false;

    if (!read_revision(store, &revision))
        return false;
    if (revision > (int64_t)store->schema->revision)
        return store_fail(store, OUTPOST_BAD_INPUT,
                          "the database is of a newer version (record types %lld, this program "
                          "knows %u): upgrade the program",
                          (long long)revision, store->schema->revision);
    if (!is_checked(store, &checked))
        return false;
    if (checked)
        return revision == (int64_t)store->schema->revision || relearn(store);
    if (!read_number(store, "PRAGMA schema_version", &version))
        return false;
    mending.wanted = wanted_new(store);
    if (mending.wanted == NULL)
        return false;
    good = mend_all(&mending);
    if (good && mending.differences > 0)
        good = mend_in_transaction(&mending, &version);
    sqlite3_close(mending.wanted);
    if (good && revision < (int64_t)store->schema->revision)
        good = relearn(store);
    if (good)
        note_checked(store, version);
    return good;
}

bool schema_ensure(struct store *store)
{
    return ensure(store) && withheld_load(store);
}
