/* SPDX-License-Identifier: Apache-2.0
 *
 * A phone at rest against the server: it holds what its region holds, exactly (I3,
 * I7, I13), has nothing left to send, and nothing of its own was lost (I1, I5).
 */
#include "check.h"

#include "values.h"

#include <stdio.h>

enum { SQL_LEN = 4096 };

#define NOT_PENDING                                                                        \
    " NOT EXISTS (SELECT 1 FROM outpost_pending q WHERE q.type = d.type AND q.family_id =" \
    " d.family AND q.id = d.id)"

/* The server, or this phone. */
#define SOMEBODY_HAS(table)                                                                 \
    " (EXISTS (SELECT 1 FROM s.record r WHERE r.family_id = " table                         \
    ".family_id AND r.type = " table ".type AND r.id = " table                              \
    ".id) OR EXISTS (SELECT 1 FROM holds d WHERE d.type = " table ".type AND d.id = " table \
    ".id))"

static bool has_table(struct phone *phone, uint32_t type)
{
    char sql[SQL_LEN];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM sqlite_master WHERE name = '%s'",
             value_table(type));
    return phone_number(phone, sql) == 1;
}

/* A view of everything that the phone has of the server's. */
static bool make_view(struct phone *phone)
{
    static const struct {
        uint32_t type;
        const char *family;
    } tables[] = {
        {TYPE_PATIENT, "id"},
        {TYPE_PHONE, "patient_id"},
        {TYPE_IDENTIFIER, "patient_id"},
        {TYPE_PRESSURE, "patient_id"},
        {TYPE_FACILITY, "zeroblob(16)"},
        {TYPE_REGION, "zeroblob(16)"},
    };
    char sql[SQL_LEN];
    size_t at = (size_t)snprintf(sql, sizeof sql,
                                 "CREATE TEMP VIEW holds AS SELECT type, family_id AS family, id,"
                                 " version, stamp FROM outpost_unknown_record WHERE deleted = 0");

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (has_table(phone, tables[i].type))
            at += (size_t)snprintf(sql + at, sizeof sql - at,
                                   " UNION ALL SELECT %u, %s, id, outpost_version, outpost_stamp"
                                   " FROM %s",
                                   tables[i].type, tables[i].family, value_table(tables[i].type));
    return phone_sql(phone, sql);
}

static const struct check_nothing nothing[] = {
    {"mutations are still in the outbox", "SELECT count(*), type, id FROM outpost_outbox"},
    /* R14: but an offer may wait for a patient whom nobody has. */
    {"mutations wait to be sent again",
     "SELECT count(*), type, id FROM outpost_resend w WHERE rank <> -2 OR EXISTS (SELECT 1 FROM"
     " s.record r WHERE r.family_id = w.family_id AND r.type = 10)"},
    {"records are pending and not rejected",
     "SELECT count(*), p.type, p.id FROM outpost_pending p WHERE NOT EXISTS (SELECT 1 FROM "
     "outpost_rejected r"
     " WHERE r.type = p.type AND r.family_id = p.family_id AND r.id = p.id AND r.generation ="
     " p.generation)"},
    {"base images are of no pending record",
     "SELECT count(*) FROM outpost_base_patient b WHERE NOT EXISTS (SELECT 1 FROM outpost_pending p"
     " WHERE p.type = 10 AND p.id = b.id)"},
    {"held copies are of no pending record",
     "SELECT count(*), h.type, h.id FROM outpost_held h WHERE NOT EXISTS (SELECT 1 FROM "
     "outpost_pending p WHERE"
     " p.type = h.type AND p.family_id = h.family_id AND p.id = h.id)"},
    {"acknowledged mutations are unknown to the server",
     "SELECT count(*), j.type, j.id FROM outpost_journal j WHERE NOT EXISTS (SELECT 1 FROM "
     "s.mutation m WHERE"
     " m.mutation_id = j.mutation_id) AND" SOMEBODY_HAS("j")},
    {"records are not the server's, or not of this region",
     "SELECT count(*), d.type, d.id FROM holds d WHERE NOT EXISTS (SELECT 1 FROM s.record r WHERE "
     "r.region_id IN"
     " (zeroblob(16), (SELECT region FROM here)) AND r.family_id = d.family AND r.type = d.type AND"
     " r.id = d.id AND r.version = d.version AND r.stamp = d.stamp AND r.deleted = 0) "
     "AND" NOT_PENDING},
    {"records of this region are not here",
     "SELECT count(*), r.type, r.id FROM s.record r WHERE r.region_id IN (zeroblob(16), (SELECT "
     "region FROM "
     "here))"
     " AND r.deleted = 0 AND NOT EXISTS (SELECT 1 FROM holds d WHERE d.type = r.type AND d.family ="
     " r.family_id AND d.id = r.id) AND NOT EXISTS (SELECT 1 FROM outpost_pending q WHERE q.type ="
     " r.type AND q.family_id = r.family_id AND q.id = r.id)"},
};

/* The columns say what the server's body says, whatever the stamps are. */
static void check_columns(struct sim *sim, struct phone *phone, const struct value_group *group)
{
    char sql[SQL_LEN], expression[VALUES_SQL_LEN];

    if (!has_table(phone, group->type))
        return;
    value_expression(group, expression);
    snprintf(sql, sizeof sql,
             "SELECT %s, r.body FROM %s d JOIN s.record r ON r.region_id IN (zeroblob(16), (SELECT"
             " region FROM here)) AND r.type = %u AND r.id = d.id AND r.deleted = 0 WHERE"
             " NOT EXISTS (SELECT 1 FROM outpost_pending q WHERE q.type = r.type AND q.id = r.id)",
             expression, value_table(group->type), group->type);
    sqlite3_stmt *rows = check_query(sim, phone->app, sql);
    while (rows != NULL && sqlite3_step(rows) == SQLITE_ROW) {
        uint32_t here = (uint32_t)sqlite3_column_int64(rows, 0);
        uint32_t there = value_in_body(group, sqlite3_column_blob(rows, 1),
                                       (size_t)sqlite3_column_bytes(rows, 1));
        if (here != there)
            sim_fail(sim, "phone %d: %s.%s is %u, on the server %u", phone->index,
                     value_table(group->type), group->column, here, there);
    }
    sqlite3_finalize(rows);
}

/* Tells the story's reader what could not be sent. */
static void say_outbox(struct sim *sim, struct phone *phone)
{
    sqlite3_stmt *rows =
        check_query(sim, phone->app, "SELECT type, family_id, id, deletes FROM outpost_outbox");
    char name[48], family[48];

    while (rows != NULL && sqlite3_step(rows) == SQLITE_ROW) {
        struct record_key key = {.type = (uint32_t)sqlite3_column_int64(rows, 0)};
        struct record_key patient = {.type = TYPE_PATIENT};
        memcpy(key.id.bytes, sqlite3_column_blob(rows, 2), RECORD_UUID_LEN);
        memcpy(patient.id.bytes, sqlite3_column_blob(rows, 1), RECORD_UUID_LEN);
        sim_say(sim, "  phone %d still has to send %s%s of %s", phone->index,
                sqlite3_column_int(rows, 3) ? "the deletion of " : "", sim_name(&key, name),
                sim_name(&patient, family));
    }
    sqlite3_finalize(rows);
}

void check_phone(struct sim *sim, struct phone *phone)
{
    char sql[SQL_LEN], blob[PHONE_BLOB_LEN], whose[32];
    struct record_uuid facility = {{0}};

    phone_id(phone, "SELECT facility_id FROM outpost_state", &facility);
    struct record_uuid region = sim_region(sim_region_of(&facility));
    snprintf(sql, sizeof sql, "CREATE TEMP TABLE here AS SELECT %s AS region",
             phone_blob(&region, blob));
    snprintf(whose, sizeof whose, "phone %d", phone->index);
    if (!phone_sql(phone, "ATTACH 'server.db' AS s") || !phone_sql(phone, sql) ||
        !make_view(phone)) {
        sim_fail(sim, "%s cannot be looked at: %s", whose, sqlite3_errmsg(phone->app));
        return;
    }
    say_outbox(sim, phone);
    check_nothing(sim, phone->app, whose, nothing, sizeof nothing / sizeof nothing[0]);
    for (size_t i = 0; i < value_group_count; i++)
        if (value_groups[i].column != NULL)
            check_columns(sim, phone, &value_groups[i]);
    if (!device_half_verify(phone->half))
        sim_fail(sim, "%s: %s", whose, device_half_error(phone->half));
}
