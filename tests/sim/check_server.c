/* SPDX-License-Identifier: Apache-2.0
 *
 * The server at rest: its tables agree with each other (R16, I3), nothing took
 * effect twice (I2), and what was answered is there (I1, I6, R22).
 */
#include "check.h"

#include "peek.h"
#include "values.h"

#include <stdio.h>

enum { MUTATION_ID = 2 };

/* R1: the same edit on the same base is one edit, among the devices of an enrolment region. */
#define EDITS                                                                                     \
    "SELECT l.region_id, l.version, mutation_id, enrolment_region_id FROM change_log l LEFT JOIN" \
    " device d ON d.device_id = l.device_id WHERE kind = 1"

static const struct check_nothing nothing[] = {
    {"mutations are in a region's log twice",
     "SELECT count(*) FROM (SELECT 1 FROM (" EDITS
     ") GROUP BY region_id, mutation_id, enrolment_region_id HAVING count(*) > 1)"},
    {"mutations took effect twice",
     "SELECT count(*) FROM (SELECT 1 FROM (" EDITS
     ") GROUP BY mutation_id, enrolment_region_id HAVING count(DISTINCT version) > 1)"},
    {"versions of a record were made twice",
     "SELECT count(*) FROM (SELECT 1 FROM change_log WHERE kind = 1 GROUP BY region_id, family_id,"
     " type, id, version HAVING count(*) > 1)"},
    {"seqs are missing or out of order",
     "SELECT count(*) FROM (SELECT count(*) AS n, max(seq) AS last, min(seq) AS first FROM"
     " change_log GROUP BY region_id) WHERE n <> last OR first <> 1"},
    {"records are not what the log says at their seq",
     "SELECT count(*), r.type, r.id FROM record r WHERE NOT EXISTS (SELECT 1 FROM change_log l "
     "WHERE"
     " l.region_id = r.region_id AND l.seq = r.seq AND l.family_id = r.family_id AND l.type = "
     "r.type"
     " AND l.id = r.id AND l.version = r.version AND l.stamp = r.stamp)"},
    {"records are in a region where their family is not",
     "SELECT count(*), r.type, r.id FROM record r WHERE family_id <> zeroblob(16) AND NOT EXISTS "
     "(SELECT 1 FROM"
     " family f WHERE f.family_id = r.family_id AND f.region_id = r.region_id)"},
    {"families are without their patient",
     "SELECT count(*) FROM family f WHERE NOT EXISTS (SELECT 1 FROM record r WHERE r.region_id ="
     " f.region_id AND r.family_id = f.family_id AND r.type = 10 AND r.id = f.family_id)"},
    {"records differ between the regions of their family",
     "SELECT count(*) FROM family f1 JOIN family f2 ON f2.family_id = f1.family_id AND f2.region_id"
     " <> f1.region_id JOIN record a ON a.region_id = f1.region_id AND a.family_id = f1.family_id"
     " WHERE NOT EXISTS (SELECT 1 FROM record b WHERE b.region_id = f2.region_id AND b.family_id ="
     " a.family_id AND b.type = a.type AND b.id = a.id AND b.version = a.version AND b.stamp ="
     " a.stamp AND b.deleted = a.deleted AND b.body = a.body AND b.past = a.past)"},
    {"records are in the history and nowhere else",
     "SELECT count(*), l.type, l.id FROM change_log l WHERE kind = 1 AND NOT EXISTS (SELECT 1 FROM "
     "record r WHERE"
     " r.type = l.type AND r.id = l.id AND r.family_id = l.family_id)"},
    {"quarantined mutations are not kept",
     "SELECT count(*) FROM mutation m WHERE status = 3 AND NOT EXISTS (SELECT 1 FROM quarantine q"
     " WHERE q.region_id = m.region_id AND q.mutation_id = m.mutation_id AND length(q.mutation) >"
     " 0)"},
    {"accepted mutations are not in the log",
     "SELECT count(*) FROM mutation m WHERE status = 1 AND NOT EXISTS (SELECT 1 FROM change_log l"
     " WHERE l.mutation_id = m.mutation_id AND l.kind = 1)"},
};

/* ---- Answers ------------------------------------------------------------------------------ */

/* I1: what left the server as an answer for good is known to it for ever. */
static void check_answers(struct sim *sim, sqlite3 *db)
{
    sqlite3_stmt *known = check_query(
        sim, db, "SELECT status FROM mutation WHERE region_id = ?1 AND mutation_id = ?2");

    for (size_t i = 0; known != NULL && i < sim->ledger.answer_count; i++) {
        const struct ledger_answer *answer = &sim->ledger.answers[i];
        if (answer->forgotten)
            continue;
        sqlite3_bind_blob(known, 1, answer->region, sizeof answer->region, SQLITE_STATIC);
        sqlite3_bind_blob(known, 2, answer->id, sizeof answer->id, SQLITE_STATIC);
        if (sqlite3_step(known) != SQLITE_ROW)
            sim_fail(sim, "a mutation that was answered with %u is unknown to the server",
                     answer->status);
        else if (answer->status == 3 && sqlite3_column_int(known, 0) != 3)
            sim_fail(sim, "a mutation that was answered as quarantined has status %d",
                     sqlite3_column_int(known, 0));
        sqlite3_reset(known);
    }
    sqlite3_finalize(known);
}

/* Kept whole in the quarantine, because its family is in no region of its author's: it was
 * moved there and that move is lost, too. A person decides (R15, I7). */
static bool is_quarantined(struct sim *sim, sqlite3 *db, const struct record_key *key)
{
    sqlite3_stmt *mutations =
        check_query(sim, db, "SELECT mutation FROM quarantine WHERE reason = 7");
    bool found = false;

    while (mutations != NULL && !found && sqlite3_step(mutations) == SQLITE_ROW) {
        const void *mutation = sqlite3_column_blob(mutations, 0);
        size_t len = (size_t)sqlite3_column_bytes(mutations, 0);
        struct peek_field id, body;
        found = peek_find(mutation, len, MUTATION_ID, &id) && id.len == RECORD_UUID_LEN &&
                memcmp(id.data, key->id.bytes, RECORD_UUID_LEN) == 0 &&
                peek_find(mutation, len, key->type, &body) && body.len > 0;
    }
    sqlite3_finalize(mutations);
    return found;
}

/* R14: the phone had pulled it and not yet its patient, which comes in a later page when she was
 * edited after it; then nobody has her. It waits there, whole, for as long as that is so. */
static bool waits_for_patient(struct sim *sim, sqlite3_stmt *there, const struct record_key *key)
{
    char sql[200], blob[PHONE_BLOB_LEN];
    bool waits = false;

    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM outpost_resend WHERE rank = -2 AND type = %u AND id = %s",
             key->type, phone_blob(&key->id, blob));
    for (size_t i = 0; i < sim->phone_count; i++)
        waits = waits || (sim->phones[i].app != NULL && phone_number(&sim->phones[i], sql) == 1);
    sqlite3_reset(there);
    sqlite3_bind_int64(there, 2, TYPE_PATIENT);
    sqlite3_bind_blob(there, 3, key->family.bytes, RECORD_UUID_LEN, SQLITE_STATIC);
    return waits && sqlite3_step(there) == SQLITE_DONE;
}

/* R22, I14: what a phone held when the server was put back, and still has, is back. */
static void check_held(struct sim *sim, sqlite3 *db)
{
    sqlite3_stmt *there = check_query(
        sim, db, "SELECT 1 FROM record WHERE family_id = ?1 AND type = ?2 AND id = ?3 LIMIT 1");
    char name[48];

    for (size_t i = 0; there != NULL && i < sim->held_count; i++) {
        const struct sim_held *held = &sim->held[i];
        if (held->phones == 0)
            continue;
        sqlite3_bind_blob(there, 1, held->key.family.bytes, RECORD_UUID_LEN, SQLITE_STATIC);
        sqlite3_bind_int64(there, 2, held->key.type);
        sqlite3_bind_blob(there, 3, held->key.id.bytes, RECORD_UUID_LEN, SQLITE_STATIC);
        if (sqlite3_step(there) != SQLITE_ROW && !is_quarantined(sim, db, &held->key) &&
            !waits_for_patient(sim, there, &held->key))
            sim_fail(sim, "%s was held by a phone when the server was put back, and did not return",
                     sim_name(&held->key, name));
        sqlite3_reset(there);
    }
    sqlite3_finalize(there);
}

/* ---- Families -------------------------------------------------------------------------------- */

/* R16: a family is in the regions of the facilities that its patient names. */
static void check_places(struct sim *sim, sqlite3 *db)
{
    static const uint32_t fields[] = {PATIENT_REGISTERED_AT, PATIENT_ASSIGNED_TO};
    sqlite3_stmt *patients = check_query(
        sim, db,
        "SELECT r.body, (SELECT group_concat(hex(f.region_id)) FROM family f WHERE f.family_id ="
        " r.family_id) FROM record r WHERE r.type = 10");

    while (patients != NULL && sqlite3_step(patients) == SQLITE_ROW) {
        const char *regions = (const char *)sqlite3_column_text(patients, 1);
        unsigned expected = 0, found = 0;
        for (size_t i = 0; i < 2; i++) {
            struct peek_field field;
            if (peek_find(sqlite3_column_blob(patients, 0),
                          (size_t)sqlite3_column_bytes(patients, 0), fields[i], &field) &&
                field.len == RECORD_UUID_LEN)
                expected |= 1u << field.data[1] / 2;
        }
        for (unsigned n = 0; n < SIM_REGIONS; n++) {
            char prefix[8];
            snprintf(prefix, sizeof prefix, "A0%02X", n);
            if (regions != NULL && strstr(regions, prefix) != NULL)
                found |= 1u << n;
        }
        if (expected != found)
            sim_fail(sim, "a family is in regions %x, its patient says %x", found, expected);
    }
    sqlite3_finalize(patients);
}

/* R15: who works in one region all the time may push what was ever there. */
static const struct check_nothing nothing_refused[] = {
    {"mutations were refused as not their author's",
     "SELECT count(*) FROM quarantine WHERE reason = 7"},
};

void check_server(struct sim *sim, sqlite3 *db)
{
    if (!sim_has(sim, SIM_SWITCHES_BIT) && sim->restores == 0)
        check_nothing(sim, db, "server", nothing_refused, 1);
    check_nothing(sim, db, "server", nothing, sizeof nothing / sizeof nothing[0]);
    check_answers(sim, db);
    check_held(sim, db);
    check_places(sim, db);
}
