/* SPDX-License-Identifier: Apache-2.0
 *
 * See wipe.h. The steps, and what a crash in one leaves to the next opening:
 *
 *   take_order  one FULL transaction: the row outpost_wipe is there, the identity
 *               is not. Before its commit: nothing happened, the order comes again.
 *   finish      1 the WAL is emptied: the key's bytes are nowhere
 *               2 one table after the other, the WAL emptied after each, so that it
 *                 needs no more room than the largest
 *               3 VACUUM: pages that were free before are gone, too; the WAL emptied
 *               4 done is noted, the lock file goes
 *
 * Steps 1 to 3 are done again from the beginning: what is gone already is quick.
 */
#include "wipe.h"

#include "sync_lock.h"

#include "outpost/v1/sync.pb-c.h"
#include "outpost/wipe.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <time.h>

static const char make_row[] =
    "CREATE TABLE outpost_wipe ("
    " one INTEGER PRIMARY KEY CHECK (one = 1),"
    " device_id BLOB NOT NULL, ordered_at_ms INTEGER NOT NULL, server TEXT NOT NULL,"
    " ca_pem TEXT NOT NULL, signature BLOB NOT NULL,"
    " done INTEGER NOT NULL DEFAULT 0, reported INTEGER NOT NULL DEFAULT 0)";

/* ---- The row ------------------------------------------------------------------------ */

/* Not among the store's statements: those are of a database that has our tables. */
static sqlite3_stmt *prepare(struct store *store, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    if (store_ok(store) && sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        store_fail_sqlite(store, "preparing a statement");
    return statement;
}

/* Steps once and finalizes; with row_out, whether a row came. */
static bool run_once(struct store *store, sqlite3_stmt *statement, bool *row_out)
{
    enum store_step step = store_step(store, statement);

    if (row_out != NULL)
        *row_out = step == STORE_ROW;
    sqlite3_finalize(statement);
    return step != STORE_FAILED;
}

static bool is_ordered(struct store *store, bool *ordered_out)
{
    return run_once(store,
                    prepare(store, "SELECT 1 FROM sqlite_master WHERE name = 'outpost_wipe'"),
                    ordered_out);
}

bool wipe_load(struct store *store, struct wipe *wipe_out)
{
    *wipe_out = (struct wipe){.ordered = false};
    if (!is_ordered(store, &wipe_out->ordered))
        return false;
    if (!wipe_out->ordered)
        return true;
    sqlite3_stmt *row = prepare(store, "SELECT device_id, ordered_at_ms, server, done, reported"
                                       " FROM outpost_wipe");
    enum store_step step = store_step(store, row);
    if (step == STORE_ROW) {
        wipe_out->device_id = store_column_uuid(row, 0);
        wipe_out->ordered_at_ms = sqlite3_column_int64(row, 1);
        snprintf(wipe_out->server, sizeof wipe_out->server, "%s",
                 (const char *)sqlite3_column_text(row, 2));
        wipe_out->done = sqlite3_column_int(row, 3) != 0;
        wipe_out->reported = sqlite3_column_int(row, 4) != 0;
    }
    sqlite3_finalize(row);
    return step != STORE_FAILED;
}

bool wipe_load_report(struct store *store, struct wipe_report *report_out)
{
    sqlite3_stmt *row = prepare(store, "SELECT ca_pem, signature FROM outpost_wipe");
    enum store_step step = store_step(store, row);

    rpc_buffer_init(&report_out->ca_pem, STORE_BLOB_BYTES_MAX);
    rpc_buffer_init(&report_out->signature, WIPE_SIGNATURE_BYTES_MAX);
    if (step == STORE_ROW) {
        rpc_buffer_append_bytes(&report_out->ca_pem, store_column_bytes(row, 0));
        rpc_buffer_append_bytes(&report_out->signature, store_column_bytes(row, 1));
    }
    sqlite3_finalize(row);
    return step == STORE_ROW || store_fail(store, OUTPOST_BAD_INPUT, "the wipe's row is damaged");
}

void wipe_report_deinit(struct wipe_report *report)
{
    rpc_buffer_deinit(&report->ca_pem);
    rpc_buffer_deinit(&report->signature);
}

bool wipe_note_reported(struct store *store)
{
    return store_execute(store, "UPDATE outpost_wipe SET reported = 1");
}

static bool denied(struct store *store, const struct wipe *wipe)
{
    time_t seconds = (time_t)(wipe->ordered_at_ms / 1000);
    struct tm day;
    char date[16] = "";

    if (gmtime_r(&seconds, &day) != NULL)
        strftime(date, sizeof date, "%Y-%m-%d", &day);
    return store_fail(store, OUTPOST_DENIED, "this device %s by order of %.100s on %s%s",
                      wipe->done ? "was wiped" : "is being wiped", wipe->server, date,
                      !wipe->done ? "; close what else has the database open, see that the disk"
                                    " has room, and run outpost sync"
                      : wipe->reported ? ""
                                       : "; the server has not been told yet: run outpost sync with"
                                         " a link");
}

bool wipe_allows(struct store *store)
{
    struct wipe wipe;

    return wipe_load(store, &wipe) && (!wipe.ordered || denied(store, &wipe));
}

/* ---- The order ------------------------------------------------------------------------ */

static bool refuse(struct store *store, const char *why)
{
    return store_fail(store, OUTPOST_BUG,
                      "the server sent a wipe order that %s; nothing was wiped: report it", why);
}

static BIO *bio_over(struct rpc_bytes pem)
{
    return BIO_new_mem_buf(pem.data, (int)pem.len);
}

/* Whether one of the CA certificates that were kept at enrolment has signed it. */
static bool signed_by_ca(struct rpc_bytes ca_pem, const struct wipe_signed *what,
                         struct rpc_bytes signature)
{
    BIO *bio = bio_over(ca_pem);
    X509 *certificate;
    bool good = false;

    while (!good && bio != NULL &&
           (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        EVP_PKEY *key = X509_get0_pubkey(certificate);
        good = key != NULL && wipe_verify(key, what, signature);
        X509_free(certificate);
    }
    BIO_free(bio);
    ERR_clear_error();
    return good;
}

static bool is_good(struct store *store, const Outpost__V1__WipeOrder *order,
                    const struct device_state *state, struct rpc_bytes ca_pem)
{
    struct rpc_bytes token = rpc_bytes_view(order->token.data, order->token.len);
    struct wipe_signed what;
    struct record_uuid device_id;

    if (!record_uuid_from_bytes(rpc_bytes_view(order->device_id.data, order->device_id.len),
                                &device_id) ||
        record_uuid_compare(&device_id, &state->device_id) != 0)
        return refuse(store, "is another device's");
    if (!rpc_bytes_equal(token, rpc_buffer_view(&state->token)))
        return refuse(store, "is not of this call");
    if (order->ordered_at_ms <= 0 ||
        !wipe_order_signed(&device_id, order->ordered_at_ms, token, &what) ||
        !signed_by_ca(ca_pem, &what, rpc_bytes_view(order->signature.data, order->signature.len)))
        return refuse(store, "is not signed by its CA");
    return true;
}

static bool sign_report(struct store *store, const struct device_state *state,
                        int64_t ordered_at_ms, struct rpc_bytes key_pem,
                        struct wipe_signature *signature_out)
{
    struct wipe_signed report = wipe_report_signed(&state->device_id, ordered_at_ms);
    BIO *bio = bio_over(key_pem);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    bool good = key != NULL && wipe_sign(key, &report, signature_out);

    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return good || store_fail(store, OUTPOST_BAD_INPUT, "the kept identity is damaged");
}

static bool put_row(struct store *store, const struct device_state *state, int64_t ordered_at_ms,
                    struct rpc_bytes ca_pem, const struct wipe_signature *signature)
{
    sqlite3_stmt *row = prepare(store, "INSERT INTO outpost_wipe (one, device_id, ordered_at_ms,"
                                       " server, ca_pem, signature)"
                                       " VALUES (1, ?1, ?2, ?3, CAST(?4 AS TEXT), ?5)");

    if (row == NULL)
        return false;
    store_bind_uuid(row, 1, &state->device_id);
    sqlite3_bind_int64(row, 2, ordered_at_ms);
    sqlite3_bind_text(row, 3, state->server, -1, SQLITE_STATIC);
    store_bind_bytes(row, 4, ca_pem);
    store_bind_bytes(row, 5, rpc_bytes_view(signature->bytes, signature->len));
    return run_once(store, row, NULL);
}

/* secure_delete overwrites what is deleted; it is not a setting of the file. */
static bool take(struct store *store, const Outpost__V1__WipeOrder *order,
                 const struct device_state *state, struct rpc_bytes ca_pem,
                 struct rpc_bytes key_pem)
{
    struct wipe_signature signature;

    return is_good(store, order, state, ca_pem) &&
           sign_report(store, state, order->ordered_at_ms, key_pem, &signature) &&
           store_execute(store, "PRAGMA secure_delete = ON") && store_begin(store, STORE_FULL) &&
           store_execute(store, make_row) &&
           put_row(store, state, order->ordered_at_ms, ca_pem, &signature) &&
           store_execute(store, "DELETE FROM outpost_identity") && store_commit(store);
}

/* Copies, so that no reading is under way when the transaction begins. */
static bool load_identity(struct store *store, struct rpc_buffer *ca_pem,
                          struct rpc_buffer *key_pem)
{
    sqlite3_stmt *row = prepare(store, "SELECT ca_pem, key_pem FROM outpost_identity");
    enum store_step step = store_step(store, row);

    if (step == STORE_ROW) {
        rpc_buffer_append_bytes(ca_pem, store_column_bytes(row, 0));
        rpc_buffer_append_bytes(key_pem, store_column_bytes(row, 1));
    }
    sqlite3_finalize(row);
    return step == STORE_ROW || store_fail(store, OUTPOST_BAD_INPUT, "the identity is gone");
}

bool wipe_take_order(struct store *store, struct rpc_bytes bytes, const struct device_state *state)
{
    Outpost__V1__WipeOrder *order = outpost__v1__wipe_order__unpack(NULL, bytes.len, bytes.data);
    struct rpc_buffer ca_pem, key_pem;

    if (order == NULL)
        return refuse(store, "is malformed");
    rpc_buffer_init(&ca_pem, STORE_BLOB_BYTES_MAX);
    rpc_buffer_init(&key_pem, STORE_BLOB_BYTES_MAX);
    if (load_identity(store, &ca_pem, &key_pem) &&
        take(store, order, state, rpc_buffer_view(&ca_pem), rpc_buffer_view(&key_pem)))
        (void)!wipe_allows(store);
    if (key_pem.len > 0)
        OPENSSL_cleanse(key_pem.data, key_pem.len);
    rpc_buffer_deinit(&key_pem);
    rpc_buffer_deinit(&ca_pem);
    outpost__v1__wipe_order__free_unpacked(order, NULL);
    return false;
}

/* ---- Destroying -------------------------------------------------------------------------- */

static bool empty_wal(struct store *store)
{
    if (!store_ok(store))
        return false;
    if (sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
        SQLITE_OK)
        return store_fail_sqlite(store, "emptying the write-ahead log");
    return true;
}

/* The next of our tables: a record table before its base table, by which it is known
 * as one also when it is of a schema that this program does not know. */
static char *next_table(struct store *store)
{
    sqlite3_stmt *names = prepare(
        store,
        "SELECT t.name FROM sqlite_master t WHERE t.type = 'table' AND EXISTS (SELECT 1"
        " FROM sqlite_master b WHERE b.type = 'table' AND b.name = 'outpost_base_' || t.name)"
        " UNION ALL SELECT name FROM sqlite_master WHERE type = 'table' AND"
        " name LIKE 'outpost\\_%' ESCAPE '\\' AND name <> 'outpost_wipe'");
    char *name = NULL;

    if (store_step(store, names) == STORE_ROW) {
        name = sqlite3_mprintf("%s", sqlite3_column_text(names, 0));
        if (name == NULL)
            store_fail(store, OUTPOST_IO, "no memory");
    }
    sqlite3_finalize(names);
    return name;
}

static bool drop_tables(struct store *store)
{
    char *name;

    while (store_ok(store) && (name = next_table(store)) != NULL) {
        char *sql = sqlite3_mprintf("DROP TABLE IF EXISTS \"%w\"", name);
        if (sql == NULL)
            store_fail(store, OUTPOST_IO, "no memory");
        else
            (void)!(store_execute(store, sql) && empty_wal(store));
        sqlite3_free(sql);
        sqlite3_free(name);
    }
    return store_ok(store);
}

bool wipe_finish(struct store *store)
{
    bool good;

    store_forget_statements(store);
    good = store_execute(store, "PRAGMA secure_delete = ON; PRAGMA synchronous = FULL") &&
           empty_wal(store) && drop_tables(store) && store_execute(store, "VACUUM") &&
           empty_wal(store) && store_execute(store, "UPDATE outpost_wipe SET done = 1") &&
           empty_wal(store);
    if (good)
        sync_lock_remove_file(store);
    return good;
}
