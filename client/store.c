/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection, its transactions and its prepared statements; see store.h.
 *
 * Why the connection switches its own triggers off: the marking triggers look at
 * `applying` and do nothing for us, yet looking costs a third of a pulled row.
 * They stay on as soon as the app has triggers of its own, because those must
 * fire for pulled rows too.
 */
#include "store.h"

#include "feed.h"
#include "schema.h"
#include "settle.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Failures ------------------------------------------------------------------ */

bool store_ok(const struct store *store)
{
    return store->status.code == OUTPOST_OK;
}

bool store_fail(struct store *store, enum outpost_code code, const char *format, ...)
{
    va_list arguments;

    if (!store_ok(store))
        return false;
    store->status.code = code;
    va_start(arguments, format);
    vsnprintf(store->status.message, sizeof store->status.message, format, arguments);
    va_end(arguments);
    return false;
}

static enum outpost_code code_of(int result)
{
    switch (result & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_NOLFS:
    case SQLITE_NOMEM:
        return OUTPOST_IO;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_INTERRUPT:
        return OUTPOST_TRY_LATER;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
    case SQLITE_FORMAT:
        return OUTPOST_BAD_INPUT;
    default:
        return OUTPOST_BUG;
    }
}

static const char *next_step(enum outpost_code code)
{
    switch (code) {
    case OUTPOST_IO:
        return "; check that the disk has room and the file and its folder can be written";
    case OUTPOST_TRY_LATER:
        return "; try again later";
    case OUTPOST_BAD_INPUT:
        return "; keep the file, and take another for this device";
    default:
        return "; report it";
    }
}

static bool fail_to_open(struct store *store, const char *path)
{
    int result = sqlite3_errcode(store->db);

    return store_fail(store, code_of(result), "cannot open %s: %s%s", path, sqlite3_errstr(result),
                      next_step(code_of(result)));
}

/* SQLite's own text of a constraint can hold what an app's RAISE says, and so a
 * value; its plain name of the result cannot (I10). */
bool store_fail_sqlite(struct store *store, const char *doing)
{
    int result = sqlite3_extended_errcode(store->db);

    if ((result & 0xff) == SQLITE_CONSTRAINT)
        return store_fail(store, OUTPOST_BUG,
                          "%s: a trigger or a constraint in the database refused it (SQLite %d)",
                          doing, result);
    return store_fail(store, code_of(result), "%s: %s (SQLite %d)%s", doing, sqlite3_errstr(result),
                      result, next_step(code_of(result)));
}

/* ---- Opening ------------------------------------------------------------------- */

/* A database that is not Outpost's, and was not before it was wiped, is somebody else's, and closed
 * again without a byte of it changed: not even its write-ahead log is emptied. */
static bool refuse_foreign(struct store *store, const char *path)
{
    sqlite3_stmt *statement = NULL;
    int result;

    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    result = sqlite3_prepare_v2(store->db,
                                "SELECT 1 FROM sqlite_master"
                                " WHERE name IN ('outpost_state', 'outpost_wipe')",
                                -1, &statement, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    sqlite3_finalize(statement);
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return fail_to_open(store, path);
    if (result == SQLITE_DONE)
        return store_fail(store, OUTPOST_BAD_INPUT,
                          "%s is not a database of Outpost: give another --db, or make one with"
                          " outpost init",
                          path);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return true;
}

static bool set_up_connection(struct store *store, const char *path, bool create)
{
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, STORE_BUSY_TIMEOUT_MS);
    if (!create && !refuse_foreign(store, path))
        return false;
    /* The size of a page is a new file's; another one keeps its own. */
    if (sqlite3_exec(store->db,
                     "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL;"
                     " PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY",
                     NULL, NULL, NULL) == SQLITE_OK)
        return true;
    return fail_to_open(store, path);
}

bool store_open(struct store *store, const char *path, bool create,
                const struct record_schema *schema)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);

    *store = (struct store){.schema = schema, .full = true};
    store->hasher = record_hasher_new();
    store->tables = calloc(schema->type_count, sizeof *store->tables);
    if (store->hasher == NULL || store->tables == NULL)
        return store_fail(store, OUTPOST_IO, "no memory");
    for (size_t i = 0; i < schema->type_count; i++)
        store->tables[i].type = &schema->types[i];

    if (sqlite3_open_v2(path, &store->db, flags, NULL) != SQLITE_OK) {
        if (store->db == NULL)
            return store_fail(store, OUTPOST_IO, "no memory");
        return fail_to_open(store, path);
    }
    return set_up_connection(store, path, create) && feed_register(store) && settle_register(store);
}

void store_forget_statements(struct store *store)
{
    for (size_t i = 0; i < STORE_STATEMENT_COUNT; i++) {
        sqlite3_finalize(store->statements[i]);
        store->statements[i] = NULL;
    }
    for (size_t i = 0; store->tables != NULL && i < store->schema->type_count; i++)
        for (size_t j = 0; j < TABLE_STATEMENT_COUNT; j++) {
            sqlite3_finalize(store->tables[i].statements[j]);
            store->tables[i].statements[j] = NULL;
        }
}

void store_close(struct store *store)
{
    store_forget_statements(store);
    free(store->tables);
    record_hasher_free(store->hasher);
    sqlite3_close(store->db);
    *store = (struct store){0};
}

/* ---- Statements ------------------------------------------------------------------ */

/* SQLite's word counts on whether one is open: it rolls back by itself when the disk is
 * full, and a ROLLBACK may have failed. */
static bool roll_back(struct store *store)
{
    for (size_t i = 0; i < STORE_STATEMENT_COUNT; i++)
        sqlite3_reset(store->statements[i]);
    for (size_t i = 0; i < store->schema->type_count; i++)
        for (size_t j = 0; j < TABLE_STATEMENT_COUNT; j++)
            sqlite3_reset(store->tables[i].statements[j]);
    if (!sqlite3_get_autocommit(store->db)) {
        sqlite3_step(store->statements[STORE_ROLLBACK]);
        sqlite3_reset(store->statements[STORE_ROLLBACK]);
    }
    return sqlite3_get_autocommit(store->db) != 0;
}

bool store_ready(struct store *store)
{
    bool begun = store->in_transaction || store->in_read;
    bool open = store_ok(store) && !sqlite3_get_autocommit(store->db);

    if (!store_ok(store))
        return false;
    if (begun && !open)
        return store_fail(store, OUTPOST_IO, "SQLite has rolled back by itself");
    return begun == open || roll_back(store) || store_fail_sqlite(store, "rolling back");
}

bool store_execute(struct store *store, const char *sql)
{
    if (!store_ready(store))
        return false;
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return store_fail_sqlite(store, "setting up the database");
    return true;
}

/* Such statements stay: in the connection's lookaside they would crowd out what comes and
 * goes. An app's SQLite may be too old to be told so. */
bool store_prepare(struct store *store, const char *sql, int len, sqlite3_stmt **statement_out)
{
#if SQLITE_VERSION_NUMBER >= 3020000
    return sqlite3_prepare_v3(store->db, sql, len, SQLITE_PREPARE_PERSISTENT, statement_out,
                              NULL) == SQLITE_OK;
#else
    return sqlite3_prepare_v2(store->db, sql, len, statement_out, NULL) == SQLITE_OK;
#endif
}

/* From here on that table counts as filled. */
static void note_filled(struct store *store, enum store_statement which)
{
    store->pending_any = store->pending_any || which == STORE_PENDING_PUT;
    store->held_any = store->held_any || which == STORE_HELD_PUT;
    store->rejected_any = store->rejected_any || which == STORE_REJECTED_PUT;
    store->warning_any = store->warning_any || which == STORE_WARNING_PUT;
    store->left_any = store->left_any || which == STORE_LEFT_PUT;
}

sqlite3_stmt *store_statement(struct store *store, enum store_statement which)
{
    static const char *const texts[] = {
#define X(name, sql) sql,
        STORE_STATEMENTS(X)
#undef X
    };
    sqlite3_stmt **slot = &store->statements[which];

    if (!store_ready(store))
        return NULL;
    if (*slot == NULL && !store_prepare(store, texts[which], -1, slot)) {
        store_fail_sqlite(store, "preparing a statement");
        return NULL;
    }
    note_filled(store, which);
    sqlite3_reset(*slot);
    return *slot;
}

bool store_known_empty(const struct store *store, enum store_statement which)
{
    if (!store->in_transaction && !store->in_read)
        return false;
    switch (which) {
    case STORE_PENDING_GET:
    case STORE_PENDING_DELETE:
        return !store->pending_any;
    case STORE_HELD_GET:
    case STORE_HELD_DELETE:
        return !store->held_any;
    case STORE_REJECTED_DELETE:
        return !store->rejected_any;
    case STORE_WARNING_DELETE:
        return !store->warning_any;
    case STORE_UNCONFIRMED_DELETE:
        return !store->unconfirmed_any;
    case STORE_LEFT_DELETE:
        return !store->left_any;
    default:
        return false;
    }
}

bool store_delete_mark(struct store *store, enum store_statement which,
                       const struct record_key *key)
{
    sqlite3_stmt *statement;

    if (store_known_empty(store, which))
        return store_ok(store);
    statement = store_statement(store, which);
    store_bind_key(statement, key);
    return store_run(store, statement);
}

struct store_table *store_table(struct store *store, uint32_t type)
{
    for (size_t i = 0; i < store->schema->type_count; i++)
        if (store->tables[i].type->number == type)
            return &store->tables[i];
    return NULL;
}

enum store_step store_step(struct store *store, sqlite3_stmt *statement)
{
    if (statement == NULL || !store_ok(store))
        return STORE_FAILED;
    switch (sqlite3_step(statement)) {
    case SQLITE_ROW:
        return STORE_ROW;
    case SQLITE_DONE:
        sqlite3_reset(statement);
        return STORE_DONE;
    default:
        store_fail_sqlite(store, "reading or writing the database");
        sqlite3_reset(statement);
        return STORE_FAILED;
    }
}

bool store_run(struct store *store, sqlite3_stmt *statement)
{
    enum store_step step = store_step(store, statement);

    if (step == STORE_ROW) /* a PRAGMA that answers */
        sqlite3_reset(statement);
    return step != STORE_FAILED;
}

static void bound(int result)
{
    assert(result == SQLITE_OK);
    (void)result;
}

void store_bind_bytes(sqlite3_stmt *statement, int index, struct rpc_bytes bytes)
{
    if (statement == NULL)
        return;
    bound(sqlite3_bind_blob64(statement, index, bytes.len > 0 ? (const void *)bytes.data : "",
                              bytes.len, SQLITE_STATIC));
}

void store_bind_uuid(sqlite3_stmt *statement, int index, const struct record_uuid *id)
{
    store_bind_bytes(statement, index, rpc_bytes_view(id->bytes, RECORD_UUID_LEN));
}

void store_bind_key(sqlite3_stmt *statement, const struct record_key *key)
{
    if (statement == NULL)
        return;
    bound(sqlite3_bind_int64(statement, 1, key->type));
    store_bind_uuid(statement, 2, &key->family);
    store_bind_uuid(statement, 3, &key->id);
}

bool store_put_bytes(struct store *store, enum store_statement which, struct rpc_bytes bytes)
{
    sqlite3_stmt *statement = store_statement(store, which);

    if (bytes.len > STORE_BLOB_BYTES_MAX)
        return store_fail(store, OUTPOST_BUG, "the server sent %zu opaque bytes to keep: too many",
                          bytes.len);
    store_bind_bytes(statement, 1, bytes);
    return store_run(store, statement);
}

struct rpc_bytes store_column_bytes(sqlite3_stmt *statement, int column)
{
    const void *data = sqlite3_column_blob(statement, column);
    int len = sqlite3_column_bytes(statement, column);

    return rpc_bytes_view(data, (size_t)len);
}

struct record_uuid store_column_uuid(sqlite3_stmt *statement, int column)
{
    struct record_uuid id = {{0}};

    record_uuid_from_bytes(store_column_bytes(statement, column), &id);
    return id;
}

/* ---- Transactions ----------------------------------------------------------------- */

static bool foreign_triggers(struct store *store)
{
    sqlite3_stmt *statement = store_statement(store, STORE_FOREIGN_TRIGGERS);
    bool found = false;

    while (!found && store_step(store, statement) == STORE_ROW) {
        const char *table = (const char *)sqlite3_column_text(statement, 0);
        for (size_t i = 0; i < store->schema->type_count; i++)
            found = found || sqlite3_stricmp(table, store->schema->types[i].table) == 0;
    }
    sqlite3_reset(statement);
    return found;
}

static bool switch_triggers(struct store *store)
{
    bool off = !foreign_triggers(store);

    if (store_ok(store) && off != store->triggers_off) {
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, off ? 0 : 1, NULL);
        store->triggers_off = off;
    }
    return store_ok(store);
}

static bool set_applying(struct store *store, bool applying)
{
    sqlite3_stmt *statement = store_statement(store, STORE_STATE_APPLYING);

    if (statement != NULL)
        bound(sqlite3_bind_int(statement, 1, applying));
    return store_run(store, statement);
}

bool store_load_sums(struct store *store)
{
    sqlite3_stmt *statement = store_statement(store, STORE_STATE_SUMS_GET);
    enum store_step step = store_step(store, statement);

    if (step == STORE_FAILED)
        return false;
    if (step == STORE_DONE)
        return store_fail(store, OUTPOST_BAD_INPUT, "the database lost its outpost_state row");
    for (int i = 0; i < CLASS_COUNT; i++) {
        store->sums[i].records = (uint64_t)sqlite3_column_int64(statement, 2 * i);
        store->sums[i].digest = (uint64_t)sqlite3_column_int64(statement, 2 * i + 1);
    }
    store->pending_any = sqlite3_column_int(statement, 4);
    store->left_any = sqlite3_column_int(statement, 5);
    store->unconfirmed_any = sqlite3_column_int(statement, 6);
    store->offer_due = sqlite3_column_int(statement, 7);
    store->admin = sqlite3_column_int(statement, 8);
    store->held_any = sqlite3_column_int(statement, 9);
    store->rejected_any = sqlite3_column_int(statement, 10);
    store->warning_any = sqlite3_column_int(statement, 11);
    for (size_t i = 0; i < store->schema->type_count; i++)
        store->tables[i].bases = STORE_NOT_LOOKED;
    store->sums_changed = false;
    sqlite3_reset(statement);
    return true;
}

bool store_save_sums(struct store *store)
{
    sqlite3_stmt *statement;

    if (!store->sums_changed)
        return true;
    statement = store_statement(store, STORE_STATE_SUMS_SET);
    for (int i = 0; statement != NULL && i < CLASS_COUNT; i++) {
        bound(sqlite3_bind_int64(statement, 2 * i + 1, (sqlite3_int64)store->sums[i].records));
        bound(sqlite3_bind_int64(statement, 2 * i + 2, (sqlite3_int64)store->sums[i].digest));
    }
    store->sums_changed = false;
    return store_run(store, statement);
}

/* The way back is prepared first: it should not need memory when there is none. */
static bool begin(struct store *store, enum store_statement which)
{
    return store_statement(store, STORE_ROLLBACK) != NULL &&
           store_run(store, store_statement(store, which));
}

bool store_begin_read(struct store *store)
{
    store->in_read = begin(store, STORE_BEGIN_READ);
    return store->in_read && store_load_sums(store);
}

void store_end_read(struct store *store)
{
    (void)roll_back(store);
    store->in_read = false;
}

bool store_begin_bare(struct store *store)
{
    assert(!store->in_transaction);
    store->in_transaction = begin(store, STORE_BEGIN);
    return store->in_transaction;
}

bool store_commit_bare(struct store *store)
{
    assert(store->in_transaction);
    if (!store_run(store, store_statement(store, STORE_COMMIT)))
        return false;
    store->in_transaction = false;
    return true;
}

bool store_begin(struct store *store, enum store_durability durability)
{
    bool full = durability == STORE_FULL;

    assert(!store->in_transaction);
    if (full != store->full) {
        if (!store_execute(store,
                           full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL"))
            return false;
        store->full = full;
    }
    return store_begin_bare(store) && switch_triggers(store) && set_applying(store, true) &&
           store_load_sums(store);
}

bool store_commit(struct store *store)
{
    assert(store->in_transaction);
    return store_save_sums(store) && set_applying(store, false) && store_commit_bare(store);
}

struct outpost_status store_rollback(struct store *store)
{
    struct outpost_status status = store->status;

    if (store->in_transaction) {
        (void)roll_back(store);
        store->in_transaction = false;
    }
    store->status = (struct outpost_status){.code = OUTPOST_OK};
    return status;
}

/* ---- Sums --------------------------------------------------------------------------- */

enum store_class store_class_of(const struct record_key *key)
{
    return record_uuid_is_zero(&key->family) ? CLASS_GLOBAL : CLASS_FAMILY;
}

void store_sum_add(struct store *store, const struct record_key *key, uint64_t stamp)
{
    struct store_sum *sum = &store->sums[store_class_of(key)];

    assert(store->in_transaction);
    sum->records++;
    sum->digest += record_digest_share(key->type, &key->id, stamp);
    store->sums_changed = true;
}

void store_sum_remove(struct store *store, const struct record_key *key, uint64_t stamp)
{
    struct store_sum *sum = &store->sums[store_class_of(key)];

    assert(store->in_transaction);
    sum->records--;
    sum->digest -= record_digest_share(key->type, &key->id, stamp);
    store->sums_changed = true;
}

/* ---- The state row ---------------------------------------------------------------------- */

void device_state_init(struct device_state *state)
{
    *state = (struct device_state){0};
    rpc_buffer_init(&state->cursor, STORE_BLOB_BYTES_MAX);
    rpc_buffer_init(&state->receipt, STORE_BLOB_BYTES_MAX);
    rpc_buffer_init(&state->token, STORE_BLOB_BYTES_MAX);
}

void device_state_deinit(struct device_state *state)
{
    rpc_buffer_deinit(&state->cursor);
    rpc_buffer_deinit(&state->receipt);
    rpc_buffer_deinit(&state->token);
}

static void load_buffer(struct rpc_buffer *buffer, sqlite3_stmt *statement, int column)
{
    rpc_buffer_clear(buffer);
    rpc_buffer_append_bytes(buffer, store_column_bytes(statement, column));
}

bool device_state_load(struct store *store, struct device_state *state)
{
    sqlite3_stmt *statement = store_statement(store, STORE_STATE_GET);
    enum store_step step = store_step(store, statement);

    if (step == STORE_FAILED)
        return false;
    if (step == STORE_DONE)
        return store_fail(store, OUTPOST_BAD_INPUT, "the database lost its outpost_state row");
    state->device_id = store_column_uuid(statement, 0);
    state->facility_id = store_column_uuid(statement, 1);
    state->enrolment_region_id = store_column_uuid(statement, 2);
    state->family_region_id = store_column_uuid(statement, 3);
    state->enrolled = !record_uuid_is_zero(&state->device_id);
    snprintf(state->server, sizeof state->server, "%s",
             (const char *)sqlite3_column_text(statement, 4));
    state->admin = sqlite3_column_int(statement, 5);
    state->accepts_zstd = sqlite3_column_int(statement, 6);
    load_buffer(&state->cursor, statement, 7);
    load_buffer(&state->receipt, statement, 8);
    load_buffer(&state->token, statement, 9);
    state->caught_up = sqlite3_column_int(statement, 10);
    state->settings = (struct device_settings){
        .push_batch = (uint32_t)sqlite3_column_int64(statement, 11),
        .batch_bytes = (uint32_t)sqlite3_column_int64(statement, 12),
        .sync_interval_s = (uint32_t)sqlite3_column_int64(statement, 13),
        .pause = (uint32_t)sqlite3_column_int64(statement, 14),
        .compression = (uint32_t)sqlite3_column_int64(statement, 15),
    };
    state->link_bytes = (uint32_t)sqlite3_column_int64(statement, 16);
    sqlite3_reset(statement);
    if (state->cursor.failed || state->receipt.failed || state->token.failed)
        return store_fail(store, OUTPOST_BAD_INPUT, "the outpost_state row is damaged");
    return true;
}
