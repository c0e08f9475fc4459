/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's database: one connection, its transactions and its statements.
 *
 * Promises: a failure sticks. The first thing that goes wrong in a store is kept
 * as its status and every later step fails fast, until store_rollback; so
 * callers may chain steps and look once. Inside a transaction `applying` is 1,
 * so that our writes are not marked as the app's (I5), and the counters below
 * are those of the database. Nothing here knows a rule of the protocol.
 */
#ifndef OUTPOST_CLIENT_STORE_H
#define OUTPOST_CLIENT_STORE_H

#include "outpost/outpost.h"
#include "outpost/record.h"

#include <sqlite3.h>

#define STORE_MUST_USE OUTPOST_USE_RESULT

/* ---- Statements -------------------------------------------------------------- */

#define STORE_KEY " WHERE type = ?1 AND family_id = ?2 AND id = ?3"

/* All keys of one type from ?2, ?4 to ?3, ?5. */
#define STORE_KEY_RUN                                                                   \
    " WHERE type = ?1 AND family_id BETWEEN ?2 AND ?3 AND (family_id > ?2 OR id >= ?4)" \
    " AND (family_id < ?3 OR id <= ?5)"

/* An outbox entry's n is its rank, shifted, and a number that counts what was ever sealed; the
 * latter is its n in the journal. */
#define STORE_SEALED_BITS "40"
#define STORE_SEALED_MASK "1099511627775"

/* X(name, SQL). A key is bound as ?1 type, ?2 family_id, ?3 id. */
#define STORE_STATEMENTS(X)                                                                       \
    X(STATE_GET,                                                                                  \
      "SELECT device_id, facility_id, enrolment_region_id, family_region_id, server,"             \
      " admin, accepts_zstd, cursor, receipt, token, caught_up, push_batch,"                      \
      " batch_bytes, sync_interval_s, pause, compression, link_bytes FROM outpost_state")         \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                   \
    X(BEGIN_READ, "BEGIN")                                                                        \
    X(COMMIT, "COMMIT")                                                                           \
    X(ROLLBACK, "ROLLBACK")                                                                       \
    X(STATE_APPLYING, "UPDATE outpost_state SET applying = ?1")                                   \
    X(STATE_SUMS_GET, "SELECT global_records, global_digest, family_records, family_digest,"      \
                      " EXISTS (SELECT 1 FROM outpost_pending),"                                  \
                      " EXISTS (SELECT 1 FROM outpost_left),"                                     \
                      " EXISTS (SELECT 1 FROM outpost_unconfirmed), offer_due, admin,"            \
                      " EXISTS (SELECT 1 FROM outpost_held),"                                     \
                      " EXISTS (SELECT 1 FROM outpost_rejected),"                                 \
                      " EXISTS (SELECT 1 FROM outpost_warning) FROM outpost_state")               \
    X(STATE_SUMS_SET, "UPDATE outpost_state SET global_records = ?1, global_digest = ?2,"         \
                      " family_records = ?3, family_digest = ?4, caught_up = 0")                  \
    X(STATE_CHECK_GET, "SELECT check_at_ms FROM outpost_state")                                   \
    X(STATE_CHECK_SOON, "UPDATE outpost_state SET check_at_ms = 1")                               \
    X(STATE_CHECKED_SET, "UPDATE outpost_state SET check_at_ms = ?1 + ?2 WHERE check_at_ms = 0"   \
                         " OR check_at_ms <= ?1 OR check_at_ms > ?1 + ?2")                        \
    X(STATE_OFFER_DUE_GET, "SELECT offer_due FROM outpost_state")                                 \
    X(STATE_CURSOR_SET, "UPDATE outpost_state SET cursor = ?1")                                   \
    X(STATE_RECEIPT_SET, "UPDATE outpost_state SET receipt = ?1")                                 \
    X(STATE_CAUGHT_UP_SET, "UPDATE outpost_state SET caught_up = 1,"                              \
                           " token = CASE WHEN length(?1) > 0 THEN ?1 ELSE token END")            \
    X(STATE_WELCOME_SET, "UPDATE outpost_state SET family_region_id = ?2,"                        \
                         " accepts_zstd = ?3, push_batch = ?4, batch_bytes = ?5,"                 \
                         " sync_interval_s = ?6, pause = ?7, compression = ?8,"                   \
                         " facility_id = CASE facility_id WHEN ?9 THEN ?1"                        \
                         " ELSE facility_id END")                                                 \
    X(STATE_SCHEMA_SET, "UPDATE outpost_state SET schema_revision = ?1")                          \
    X(STATE_REVISIONS_GET, "SELECT minimum_revision, recommended_revision FROM outpost_state")    \
    X(STATE_REVISIONS_SET,                                                                        \
      "UPDATE outpost_state SET minimum_revision = ?1, recommended_revision = ?2")                \
    X(WITHHELD_ALL, "SELECT type, field FROM outpost_withheld ORDER BY type, field")              \
    X(WITHHELD_CLEAR, "DELETE FROM outpost_withheld")                                             \
    X(WITHHELD_PUT, "INSERT INTO outpost_withheld (type, field, name) VALUES (?1, ?2, ?3)")       \
    X(STATE_LINK_BYTES_SET, "UPDATE outpost_state SET link_bytes = ?1")                           \
    X(STATE_FACILITY_SET, "UPDATE outpost_state SET facility_id = ?1")                            \
    X(STATE_ENROLLED_SET, "UPDATE outpost_state SET device_id = ?1, facility_id = ?2,"            \
                          " enrolment_region_id = ?3, admin = ?4, server = ?5")                   \
    X(IDENTITY_GET, "SELECT key_pem, certificate_pem, ca_pem, tls_session, next_key_pem"          \
                    " FROM outpost_identity")                                                     \
    X(IDENTITY_SET, "INSERT OR REPLACE INTO outpost_identity"                                     \
                    " (one, key_pem, certificate_pem, ca_pem, tls_session, next_key_pem)"         \
                    " VALUES (1, ?1, ?2, ?3, x'', '')")                                           \
    X(IDENTITY_NEXT_KEY_SET, "UPDATE outpost_identity SET next_key_pem = ?1")                     \
    X(STATE_IDENTITY_SET, "UPDATE outpost_state SET device_id = ?1, admin = ?2, token = x'',"     \
                          " receipt = x''")                                                       \
    X(IDENTITY_SESSION_SET, "UPDATE outpost_identity SET tls_session = ?1")                       \
    X(FOREIGN_TRIGGERS, "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'"               \
                        " AND name NOT LIKE 'outpost\\_%' ESCAPE '\\'")                           \
    X(PENDING_GET, "SELECT generation FROM outpost_pending" STORE_KEY)                            \
    X(PENDING_ALL, "SELECT type, family_id, id FROM outpost_pending")                             \
    X(PENDING_PUT, "INSERT OR REPLACE INTO outpost_pending (type, family_id, id, generation)"     \
                   " VALUES (?1, ?2, ?3, 1)")                                                     \
    X(PENDING_DELETE, "DELETE FROM outpost_pending" STORE_KEY)                                    \
    X(PENDING_ANY, "SELECT 1 FROM outpost_pending p WHERE NOT EXISTS (SELECT 1 FROM"              \
                   " outpost_outbox o WHERE o.type = p.type AND o.family_id = p.family_id"        \
                   " AND o.id = p.id) AND NOT EXISTS (SELECT 1 FROM outpost_rejected r"           \
                   " WHERE r.type = p.type AND r.family_id = p.family_id AND r.id = p.id"         \
                   " AND r.generation = p.generation) LIMIT 1")                                   \
    X(HELD_GET, "SELECT version, deleted, stamp, body FROM outpost_held" STORE_KEY)               \
    X(HELD_PUT, "INSERT OR REPLACE INTO outpost_held (type, family_id, id, version, deleted,"     \
                " stamp, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")                              \
    X(HELD_DELETE, "DELETE FROM outpost_held" STORE_KEY)                                          \
    X(PENDING_AFTER_COUNT, "SELECT count(*) FROM outpost_pending WHERE type = ?1 AND"             \
                           " (family_id, id) > (?2, ?3)")                                         \
    X(PENDING_UNSEALED_ANY, "SELECT 1 FROM outpost_pending p WHERE p.type = ?1 AND NOT EXISTS"    \
                            " (SELECT 1 FROM outpost_outbox o WHERE o.type = p.type AND"          \
                            " o.family_id = p.family_id AND o.id = p.id) AND NOT EXISTS"          \
                            " (SELECT 1 FROM outpost_rejected r WHERE r.type = p.type AND"        \
                            " r.family_id = p.family_id AND r.id = p.id AND"                      \
                            " r.generation = p.generation) LIMIT 1")                              \
    X(PENDING_FAMILY, "SELECT id FROM outpost_pending WHERE type = ?1 AND family_id = ?2"         \
                      " AND id > ?3 ORDER BY id")                                                 \
    X(OUTBOX_GET, "SELECT n FROM outpost_outbox" STORE_KEY)                                       \
    X(OUTBOX_PUT, "INSERT INTO outpost_outbox (type, family_id, id, rank, mutation, mutation_id," \
                  " deletes, sealed_body, generation, n) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8," \
                  " ?9, ?10)")                                                                    \
    X(OUTBOX_AFTER, "SELECT n, rank, type, family_id, id, mutation, 0 FROM outpost_outbox"        \
                    " WHERE n > ?2 AND n <= ?3 ORDER BY n")                                       \
    X(OUTBOX_AHEAD, "SELECT count(*) FROM (SELECT 1 FROM outpost_outbox WHERE n > ?1 AND n <= ?2" \
                    " LIMIT ?3)")                                                                 \
    X(OUTBOX_BY_N, "SELECT type, family_id, id, mutation, deletes, sealed_body, generation,"      \
                   " mutation_id FROM outpost_outbox WHERE n = ?1")                               \
    X(OUTBOX_DELETE, "DELETE FROM outpost_outbox WHERE n = ?1")                                   \
    X(OUTBOX_COUNT, "SELECT count(*) FROM outpost_outbox")                                        \
    X(OUTBOX_RUN, "SELECT n, type, family_id, id, mutation, generation FROM outpost_outbox"       \
                  " WHERE n BETWEEN ?1 AND ?2 AND deletes = 0 AND length(sealed_body) = 0"        \
                  " ORDER BY n")                                                                  \
    X(OUTBOX_DELETE_RUN, "DELETE FROM outpost_outbox WHERE n BETWEEN ?1 AND ?2")                  \
    X(PENDING_FROM, "SELECT family_id, id, generation FROM outpost_pending WHERE type = ?1 AND"   \
                    " (family_id, id) >= (?2, ?3) ORDER BY family_id, id")                        \
    X(PENDING_DELETE_RUN, "DELETE FROM outpost_pending" STORE_KEY_RUN)                            \
    X(JOURNAL_PUT, "INSERT OR REPLACE INTO outpost_journal (n, type, family_id, id, mutation,"    \
                   " mutation_id, answered_at_ms, version)"                                       \
                   " SELECT n & " STORE_SEALED_MASK ", type, family_id, id, mutation,"            \
                   " mutation_id, ?3, ?4 FROM outpost_outbox WHERE n BETWEEN ?1 AND ?2")          \
    X(RESEND_PUT, "INSERT OR IGNORE INTO outpost_resend (type, family_id, id, rank, mutation,"    \
                  " mutation_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                \
    X(RESEND_JOURNAL, "INSERT OR IGNORE INTO outpost_resend (type, family_id, id, rank,"          \
                      " mutation, mutation_id, acknowledged_version)"                             \
                      " SELECT type, family_id, id, -1, mutation, mutation_id, version"           \
                      " FROM outpost_journal ORDER BY n")                                         \
    X(RESEND_MARK, "SELECT count(*), coalesce(max(n), 0) FROM outpost_resend")                    \
    /* What has left the journal goes a last time, as new work (R8). */                           \
    X(RESEND_AFTER, "SELECT n, rank, type, family_id, id, mutation, acknowledged_version *"       \
                    " (mutation_id IN (SELECT mutation_id FROM outpost_journal)) FROM"            \
                    " (SELECT * FROM outpost_resend WHERE rank = ?1 AND n > ?2 UNION ALL"         \
                    " SELECT * FROM outpost_resend WHERE rank > ?1) ORDER BY rank, n")            \
    X(RESEND_BY_N, "SELECT type, family_id, id, mutation, acknowledged_version, rank <> -1 FROM " \
                   "outpost_resend WHERE n = ?1")                                                 \
    X(RESEND_OVER, "DELETE FROM outpost_resend WHERE n = ?1 AND rank = -1 AND"                    \
                   " mutation_id NOT IN (SELECT mutation_id FROM outpost_journal)")               \
    X(RESEND_WAIT, "UPDATE outpost_resend SET rank = -2 WHERE n = ?1 AND rank <> -1")             \
    X(RESEND_DELETE, "DELETE FROM outpost_resend WHERE n = ?1")                                   \
    X(RESENT_PUT, "INSERT OR REPLACE INTO outpost_resent (type, family_id, id, answered_at_ms)"   \
                  " VALUES (?1, ?2, ?3, ?4)")                                                     \
    X(RESENT_TRIM, "DELETE FROM outpost_resent WHERE answered_at_ms <> ?1")                       \
    X(OFFER_DUE_SET, "UPDATE outpost_state SET offer_due = 1")                                    \
    X(OFFER_DUE_CLEAR, "UPDATE outpost_state SET offer_due = 0"                                   \
                       " WHERE NOT EXISTS (SELECT 1 FROM outpost_resend WHERE rank < -2)")        \
    X(JOURNAL_VERSION_SET,                                                                        \
      "UPDATE outpost_journal SET version = ?2 WHERE n = ?1 & " STORE_SEALED_MASK)                \
    X(STATE_SEALED_GET, "SELECT sealed_last, EXISTS (SELECT 1 FROM outpost_outbox)"               \
                        " FROM outpost_state")                                                    \
    X(STATE_SEALED_SET, "UPDATE outpost_state SET sealed_last = ?1")                              \
    X(ANSWERED, "SELECT type, family_id, id FROM outpost_journal"                                 \
                " WHERE answered_at_ms = ?1"                                                      \
                " UNION ALL SELECT type, family_id, id FROM outpost_resent"                       \
                " WHERE answered_at_ms = ?1")                                                     \
    X(ANSWERED_LAST_IN_SECOND,                                                                    \
      "SELECT coalesce(max(answered_at_ms), 0) FROM (SELECT answered_at_ms FROM outpost_journal"  \
      " UNION ALL SELECT answered_at_ms FROM outpost_resent)"                                     \
      " WHERE answered_at_ms >= ?1 AND answered_at_ms < ?1 + 1000")                               \
    X(JOURNAL_TRIM, "DELETE FROM outpost_journal WHERE answered_at_ms < ?1")                      \
    X(ASIDE_PUT, "INSERT OR REPLACE INTO outpost_aside (type, family_id, id, version, deleted,"   \
                 " body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                        \
    X(ASIDE_OF_FAMILY, "SELECT type, family_id, id FROM outpost_journal WHERE family_id = ?1"     \
                       " UNION SELECT type, family_id, id FROM outpost_pending"                   \
                       " WHERE family_id = ?1 UNION SELECT ?2, ?1, ?1"                            \
                       " WHERE EXISTS (SELECT 1 FROM outpost_journal WHERE family_id = ?1)"       \
                       " OR EXISTS (SELECT 1 FROM outpost_pending WHERE family_id = ?1)")         \
    X(ASIDE_OF_UNCONFIRMED,                                                                       \
      "SELECT u.type, u.family_id, u.id FROM (SELECT type, family_id, id FROM outpost_journal"    \
      " UNION SELECT type, family_id, id FROM outpost_pending) w"                                 \
      " CROSS JOIN outpost_unconfirmed u"                                                         \
      " ON u.type = w.type AND u.family_id = w.family_id AND u.id = w.id"                         \
      " UNION SELECT u.type, u.family_id, u.id FROM (SELECT family_id FROM outpost_journal"       \
      " UNION SELECT family_id FROM outpost_pending) w CROSS JOIN outpost_unconfirmed u"          \
      " ON u.type = ?1 AND u.family_id = w.family_id AND u.id = w.family_id")                     \
    X(ASIDE_HANGS, "SELECT 1 FROM outpost_journal WHERE family_id = ?1"                           \
                   " UNION ALL SELECT 1 FROM outpost_pending WHERE family_id = ?1 LIMIT 1")       \
    X(ASIDE_GET,                                                                                  \
      "SELECT type, family_id, id, version, deleted, body FROM outpost_aside" STORE_KEY)          \
    X(ASIDE_ALL, "SELECT type, family_id, id, version, deleted, body FROM outpost_aside")         \
    X(ASIDE_BEGIN, "UPDATE outpost_aside SET since_ms = ?1 WHERE since_ms = 0")                   \
    X(ASIDE_TRIM, "DELETE FROM outpost_aside WHERE since_ms < ?1")                                \
    X(REJECTED_PUT, "INSERT OR REPLACE INTO outpost_rejected (type, family_id, id, reason,"       \
                    " field, generation) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                        \
    X(REJECTED_DELETE, "DELETE FROM outpost_rejected" STORE_KEY)                                  \
    X(WARNING_PUT, "INSERT OR REPLACE INTO outpost_warning (type, family_id, id, reason, field)"  \
                   " VALUES (?1, ?2, ?3, ?4, ?5)")                                                \
    X(WARNING_DELETE, "DELETE FROM outpost_warning" STORE_KEY)                                    \
    X(LEFT_PUT, "INSERT OR REPLACE INTO outpost_left (family_id) VALUES (?1)")                    \
    X(LEFT_DELETE, "DELETE FROM outpost_left WHERE family_id = ?1")                               \
    X(LEFT_AFTER, "SELECT family_id FROM outpost_left WHERE family_id > ?1"                       \
                  " ORDER BY family_id LIMIT 1")                                                  \
    X(REGION_PUT, "INSERT OR REPLACE INTO outpost_region (region_id, seq, records, digest)"       \
                  " VALUES (?1, ?2, ?3, ?4)")                                                     \
    X(REGION_ALL, "SELECT region_id, seq, records, digest FROM outpost_region"                    \
                  " ORDER BY region_id")                                                          \
    X(REGION_CLEAR, "DELETE FROM outpost_region")                                                 \
    X(REPAIR_GET, "SELECT state, tries, next_at_ms, difference FROM outpost_repair"               \
                  " WHERE region_id = ?1")                                                        \
    X(REPAIR_PUT, "INSERT OR REPLACE INTO outpost_repair (region_id, state, tries, next_at_ms,"   \
                  " difference) VALUES (?1, ?2, ?3, ?4, ?5)")                                     \
    X(REPAIR_DELETE, "DELETE FROM outpost_repair WHERE region_id = ?1")                           \
    X(REPAIR_PRUNE, "DELETE FROM outpost_repair WHERE region_id NOT IN"                           \
                    " (SELECT region_id FROM outpost_region)")                                    \
    X(REPAIR_DUE, "SELECT region_id FROM outpost_repair WHERE state = 1 ORDER BY region_id")      \
    X(UNCONFIRMED_ANY, "SELECT 1 FROM outpost_unconfirmed LIMIT 1")                               \
    X(UNCONFIRMED_DELETE, "DELETE FROM outpost_unconfirmed" STORE_KEY)                            \
    X(UNCONFIRMED_CLEAR, "DELETE FROM outpost_unconfirmed WHERE (family_id = zeroblob(16)) = ?1") \
    X(UNCONFIRMED_NEXT, "SELECT type, family_id, id FROM outpost_unconfirmed"                     \
                        " WHERE (family_id = zeroblob(16)) = ?1 LIMIT 256")                       \
    X(UNCONFIRMED_OF_TYPE, "SELECT type, family_id, id FROM outpost_unconfirmed WHERE type = ?1"  \
                           " LIMIT 256")                                                          \
    X(UNCONFIRMED_TYPE_UNKNOWN,                                                                   \
      "INSERT OR IGNORE INTO outpost_unconfirmed (type, family_id, id)"                           \
      " SELECT type, family_id, id FROM outpost_unknown_record WHERE type = ?1")                  \
    X(UNCONFIRMED_TYPE_HELD,                                                                      \
      "INSERT OR IGNORE INTO outpost_unconfirmed (type, family_id, id)"                           \
      " SELECT type, family_id, id FROM outpost_held WHERE type = ?1 AND body IS NOT NULL")       \
    X(UNCONFIRMED_UNKNOWN, "INSERT OR IGNORE INTO outpost_unconfirmed (type, family_id, id)"      \
                           " SELECT type, family_id, id FROM outpost_unknown_record"              \
                           " WHERE (family_id = zeroblob(16)) = ?1")                              \
    X(UNCONFIRMED_HELD, "INSERT OR IGNORE INTO outpost_unconfirmed (type, family_id, id)"         \
                        " SELECT type, family_id, id FROM outpost_held"                           \
                        " WHERE (family_id = zeroblob(16)) = ?1 AND body IS NOT NULL")            \
    X(UNKNOWN_GET, "SELECT version, deleted, stamp, body FROM outpost_unknown_record" STORE_KEY)  \
    X(UNKNOWN_PUT, "INSERT OR REPLACE INTO outpost_unknown_record (type, family_id, id, version," \
                   " deleted, stamp, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")                  \
    X(UNKNOWN_DELETE, "DELETE FROM outpost_unknown_record" STORE_KEY)                             \
    X(UNKNOWN_FAMILY, "SELECT type, id FROM outpost_unknown_record WHERE family_id = ?1")         \
    X(UNKNOWN_OF_TYPE, "SELECT family_id, id FROM outpost_unknown_record WHERE type = ?1"         \
                       " LIMIT 1")                                                                \
    X(UNKNOWN_ALL, "SELECT type, family_id, id, version, deleted, stamp, body"                    \
                   " FROM outpost_unknown_record")

enum store_statement {
#define X(name, sql) STORE_##name,
    STORE_STATEMENTS(X)
#undef X
        STORE_STATEMENT_COUNT
};

/* Statements of one record type, made from its description (schema.c). The key
 * is ?1 id, or for a member ?1 patient_id and ?2 id; then the fields in order,
 * outpost_stamp, outpost_version, outpost_unknown. */
enum table_statement {
    TABLE_GET,         /* fields, stamp, version, unknown of one row */
    TABLE_HEAD,        /* stamp and version of one row */
    TABLE_INSERT,      /* key and everything */
    TABLE_FEED,        /* the same of all that is fed (feed.h); what conflicts ends it */
    TABLE_UPDATE,      /* everything, by key */
    TABLE_SETTLE,      /* stamp and version alone, by key, bound after the key */
    TABLE_SETTLE_RUN,  /* the same of those rows from one key to another that are meant, the
                          version bound after the keys (settle.h) */
    TABLE_COUNT_RUN,   /* how many rows there are from one key to another, up to a limit */
    TABLE_DELETE,      /* by key */
    TABLE_FAMILY,      /* ids of one family's clean rows; not for global types */
    TABLE_ALL,         /* fields, stamp, version, unknown, then the key, of all rows */
    TABLE_UNSEALED,    /* as TABLE_GET, then family_id, id, generation and the row's id, of what
                          is pending, after ?2 and ?3, and not sealed or rejected; ?1: none is
                          of that */
    TABLE_COUNT,       /* how many rows */
    TABLE_UNKNOWN,     /* keys of rows that carry unknown fields, family first */
    TABLE_UNCONFIRMED, /* notes every clean row's key in outpost_unconfirmed */
    BASE_GET,
    BASE_HEAD,
    BASE_INSERT,
    BASE_DELETE,
    BASE_ALL,
    BASE_UNKNOWN,
    BASE_ANY,         /* whether there is any */
    BASE_UNCONFIRMED, /* notes the keys of base images that are the held copies */
    TABLE_STATEMENT_COUNT
};

/* What a transaction knows of a table that is empty most of the time. */
enum store_presence { STORE_NOT_LOOKED, STORE_NONE, STORE_SOME };

struct store_table {
    const struct record_type *type;
    sqlite3_stmt *statements[TABLE_STATEMENT_COUNT];
    enum store_presence bases; /* of this type; while a transaction is open */
    /* The next record of this type that comes is probably new here. A guess: see
     * apply.c. */
    bool fresh;
};

/* ---- Store -------------------------------------------------------------------- */

/* Sums over the server's copies that are held here (I13, R24), by class: the
 * global records, and the records of families. */
enum store_class { CLASS_GLOBAL, CLASS_FAMILY, CLASS_COUNT };

struct store_sum {
    uint64_t records;
    uint64_t digest;
};

enum {
    /* Types and fields withheld: what one Welcome can say of them. */
    STORE_WITHHELD_MAX = 64,
    /* Waiting for another connection's write, ms. */
    STORE_BUSY_TIMEOUT_MS = 10000,
    /* Bytes of one built statement: protects from a schema gone wild. */
    STORE_SQL_BYTES_MAX = 64 * 1024,
    /* Bytes of a cursor, receipt, token, certificate: protects the state row. */
    STORE_BLOB_BYTES_MAX = 64 * 1024,
    /* Of STORE_SEALED_BITS. */
    STORE_SEALED_SHIFT = 40,
    /* Keys collected before they are worked on: protects memory. */
    STORE_KEYS_MAX = 256,
    /* What PENDING_PUT gives; the triggers count on from there. */
    STORE_PENDING_FIRST_GENERATION = 1,
};

/* field 0: the whole type. */
struct store_withheld {
    size_t count;
    struct store_withheld_field {
        uint32_t type, field;
    } list[STORE_WITHHELD_MAX];
};

struct store {
    sqlite3 *db;
    const struct record_schema *schema;
    struct record_hasher *hasher;
    struct outpost_status status; /* the first failure; sticks until store_rollback */
    sqlite3_stmt *statements[STORE_STATEMENT_COUNT];
    struct store_table *tables; /* one per type of the schema */

    bool in_transaction, in_read;
    bool full;         /* the connection's synchronous: FULL, else NORMAL */
    bool triggers_off; /* the connection's triggers */
    /* Of the database, while a transaction is open. */
    struct store_sum sums[CLASS_COUNT];
    bool sums_changed;
    bool pending_any, left_any, unconfirmed_any, held_any, rejected_any, warning_any;
    /* R22: a region was reset; what the server lacks is offered before anything
     * is dropped. */
    bool offer_due;
    bool admin;
    struct store_withheld withheld; /* as the database has it (withheld.h) */
    struct feed_source *feed;       /* what TABLE_FEED reads while it runs */
    struct settle_list *settling;   /* what TABLE_SETTLE_RUN is about while it runs */
};

/* Durability of a transaction. */
enum store_durability {
    STORE_NORMAL, /* survives a crash of the process; what can be fetched again */
    STORE_FULL,   /* survives the loss of power (I1) */
};

/* Opens the file; tables are made by schema_ensure. */
STORE_MUST_USE bool store_open(struct store *store, const char *path, bool create,
                               const struct record_schema *schema);
/* Accepts a store that store_open failed on. */
void store_close(struct store *store);

/* Finalizes the statements that were prepared so far. */
void store_forget_statements(struct store *store);

/* Records the first failure. Always false, so that it can be returned. */
bool store_fail(struct store *store, enum outpost_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for what SQLite just reported. */
bool store_fail_sqlite(struct store *store, const char *doing);
bool store_ok(const struct store *store);
/* No failure is noted, and a transaction is open exactly when it was begun: a ROLLBACK that
 * found no memory is made up for. Asked before every statement. */
bool store_ready(struct store *store);

STORE_MUST_USE bool store_begin(struct store *store, enum store_durability durability);
/* The same before there is a state row: of it nothing is read or written. */
STORE_MUST_USE bool store_begin_bare(struct store *store);
STORE_MUST_USE bool store_commit_bare(struct store *store);
/* For reading alone: what is read belongs together, and the app goes on writing. */
STORE_MUST_USE bool store_begin_read(struct store *store);
/* Ends that, whether it began or not; a failure stays noted. */
void store_end_read(struct store *store);
STORE_MUST_USE bool store_commit(struct store *store);
/* Undoes an open transaction, if any; forgets the failure and gives it back. */
struct outpost_status store_rollback(struct store *store);

/* Runs statements without results. */
STORE_MUST_USE bool store_execute(struct store *store, const char *sql);

/* A statement ready to be bound, prepared at its first use. NULL: failed. */
sqlite3_stmt *store_statement(struct store *store, enum store_statement which);
struct store_table *store_table(struct store *store, uint32_t type);
/* Prepares a text that stays for as long as the connection. */
STORE_MUST_USE bool store_prepare(struct store *store, const char *sql, int len,
                                  sqlite3_stmt **statement_out);
/* The table of marks that this statement is about is empty, and stays so until the
 * transaction writes to it: then there is nothing to find. Outside of one nothing is known. */
bool store_known_empty(const struct store *store, enum store_statement which);
/* Runs the DELETE of a key's mark. */
STORE_MUST_USE bool store_delete_mark(struct store *store, enum store_statement which,
                                      const struct record_key *key);

enum store_step { STORE_ROW, STORE_DONE, STORE_FAILED };
STORE_MUST_USE enum store_step store_step(struct store *store, sqlite3_stmt *statement);
/* Steps to the end and resets. NULL is a failure already noted. */
STORE_MUST_USE bool store_run(struct store *store, sqlite3_stmt *statement);

/* Binding cannot fail but for a wrong index, which is a bug of ours. */
void store_bind_bytes(sqlite3_stmt *statement, int index, struct rpc_bytes bytes);
void store_bind_uuid(sqlite3_stmt *statement, int index, const struct record_uuid *id);
void store_bind_key(sqlite3_stmt *statement, const struct record_key *key);
/* Runs a statement whose one parameter is opaque bytes of the server's. */
STORE_MUST_USE bool store_put_bytes(struct store *store, enum store_statement which,
                                    struct rpc_bytes bytes);
/* Views until the statement is stepped or reset. */
struct rpc_bytes store_column_bytes(sqlite3_stmt *statement, int column);
/* Zeros when the column is not 16 bytes. */
struct record_uuid store_column_uuid(sqlite3_stmt *statement, int column);

enum store_class store_class_of(const struct record_key *key);
/* Writes them now; store_commit does it by itself. */
STORE_MUST_USE bool store_save_sums(struct store *store);
/* Reads the sums as the database has them; store_begin does it by itself. */
STORE_MUST_USE bool store_load_sums(struct store *store);
/* Counts a held, living record in or out of its class's sum. */
void store_sum_add(struct store *store, const struct record_key *key, uint64_t stamp);
void store_sum_remove(struct store *store, const struct record_key *key, uint64_t stamp);

/* ---- The state row --------------------------------------------------------------- */

/* Of the last Welcome; 0: not said. */
struct device_settings {
    uint32_t push_batch, batch_bytes, sync_interval_s;
    uint32_t pause;       /* 1: follow mode waits */
    uint32_t compression; /* the numbers of outpost.v1.Compression */
};

struct device_state {
    bool enrolled;
    struct record_uuid device_id, facility_id, enrolment_region_id, family_region_id;
    char server[300];
    bool admin, accepts_zstd, caught_up;
    struct device_settings settings;
    uint32_t link_bytes; /* see pace.h; 0: nothing learned yet */
    struct rpc_buffer cursor, receipt, token;
};

void device_state_init(struct device_state *state);
void device_state_deinit(struct device_state *state);
STORE_MUST_USE bool device_state_load(struct store *store, struct device_state *state);

#endif
