/* SPDX-License-Identifier: Apache-2.0
 *
 * What nurses do: ordinary SQL on the app's own connection. Every value is new, and
 * the ledger is told what stood there before.
 */
#include "sim.h"

#include "values.h"

#include <stdio.h>
#include <stdlib.h>

enum { GROUPS_MAX = 16, OVERSIZE_BYTES = 70 * 1024, SQL_LEN = 1024 };

/* ---- Rows ------------------------------------------------------------------------------ */

static void put_where(const struct record_key *key, char *sql, size_t size)
{
    char id[PHONE_BLOB_LEN], family[PHONE_BLOB_LEN];

    if (key->type == TYPE_PATIENT || record_uuid_is_zero(&key->family))
        snprintf(sql, size, " WHERE id = %s", phone_blob(&key->id, id));
    else
        snprintf(sql, size, " WHERE patient_id = %s AND id = %s", phone_blob(&key->family, family),
                 phone_blob(&key->id, id));
}

static uint32_t value_now(struct phone *phone, const struct record_key *key,
                          const struct value_group *group)
{
    char sql[SQL_LEN], where[SQL_LEN / 2], expression[VALUES_SQL_LEN];

    value_expression(group, expression);
    put_where(key, where, sizeof where);
    snprintf(sql, sizeof sql, "SELECT %s FROM %s%s", expression, value_table(key->type), where);
    int64_t n = phone_number(phone, sql);
    return n > 0 ? (uint32_t)n : 0;
}

/* A value that somebody wrote over having seen it: its own author may lose it; the
 * others' are in the history, unless the server loses that. */
static void write_over(struct sim *sim, struct phone *phone, uint32_t n)
{
    const struct ledger_edit *edit = ledger_edit_of(&sim->ledger, n);

    if (edit != NULL &&
        (edit->phone == phone->index || sim->restores > 0 || sim_has(sim, SIM_COPIES_BIT)))
        ledger_over(&sim->ledger, n);
}

static void write_over_row(struct sim *sim, struct phone *phone, struct sim_deleted *deleted)
{
    for (size_t i = 0; i < value_group_count; i++) {
        if (value_groups[i].type != deleted->key.type || value_groups[i].column == NULL)
            continue;
        deleted->values[i] = value_now(phone, &deleted->key, &value_groups[i]);
        write_over(sim, phone, deleted->values[i]);
    }
}

/* What the user saw before deleting the record, or emptying the field, on this phone;
 * 0: neither was done. */
static uint32_t seen_before(const struct sim *sim, const struct phone *phone,
                            const struct record_key *key, const struct value_group *group)
{
    for (size_t i = sim->deleted_count; i-- > 0;)
        if (sim->deleted[i].phone == phone->index &&
            sim->deleted[i].values[group - value_groups] != 0 &&
            record_key_compare(&sim->deleted[i].key, key) == 0)
            return sim->deleted[i].values[group - value_groups];
    return 0;
}

static void note_deleted(struct sim *sim, const struct sim_deleted *deleted)
{
    if (sim->deleted_count == SIM_DELETED_MAX)
        sim->ledger.overflow = "deletions";
    else
        sim->deleted[sim->deleted_count++] = *deleted;
}

/* One INSERT or UPDATE. */
static void put_statement(const struct record_key *key, const char *columns, const char *literals,
                          bool made, char *sql, size_t size)
{
    char where[SQL_LEN / 2], id[PHONE_BLOB_LEN], family[PHONE_BLOB_LEN];
    bool card = made && key->type == TYPE_IDENTIFIER;

    if (made && (key->type == TYPE_PATIENT || key->type >= TYPE_FACILITY)) {
        snprintf(sql, size, "INSERT INTO %s(id%s) VALUES (%s%s)", value_table(key->type), columns,
                 phone_blob(&key->id, id), literals);
    } else if (made) {
        snprintf(sql, size, "INSERT INTO %s(patient_id, id%s%s) VALUES (%s, %s%s%s)",
                 value_table(key->type), card ? ", system" : "", columns,
                 phone_blob(&key->family, family), phone_blob(&key->id, id), card ? ", 'card'" : "",
                 literals);
    } else {
        put_where(key, where, sizeof where);
        /* Without the first comma. */
        snprintf(sql, size, "UPDATE %s SET (%s) = (%s)%s", value_table(key->type), columns + 2,
                 literals + 2, where);
    }
}

static void tell_edit(struct sim *sim, struct phone *phone, uint32_t n, bool made, bool done,
                      bool bad)
{
    const struct ledger_edit *edit = &sim->ledger.edits[n];
    const struct value_group *group = value_group_find(edit->key.type, edit->group);
    char name[48];

    sim_say(sim, "  phone %d %s %s: %s = %u (saw %u)%s", phone->index, made ? "makes" : "edits",
            sim_name(&edit->key, name), group->column, n, edit->seen,
            !done                  ? ", which fails"
            : bad && group->spoils ? ", not valid"
                                   : "");
}

/* Sets groups of a row, or makes it with them. */
static bool write_row(struct sim *sim, struct phone *phone, const struct record_key *key,
                      const struct value_group *const *groups, size_t count, bool bad, bool made)
{
    char sql[4 * SQL_LEN], columns[SQL_LEN] = "", literals[SQL_LEN] = "";
    uint32_t values[GROUPS_MAX], seen[GROUPS_MAX];
    size_t columns_at = 0, literals_at = 0;

    for (size_t i = 0; i < count; i++) {
        char literal[VALUES_SQL_LEN];
        values[i] = ledger_value(&sim->ledger);
        seen[i] = made ? 0 : value_now(phone, key, groups[i]);
        if (seen[i] == 0)
            seen[i] = seen_before(sim, phone, key, groups[i]);
        value_literals(groups[i], values[i], bad && groups[i]->spoils, literal);
        columns_at += (size_t)snprintf(columns + columns_at, sizeof columns - columns_at, ", %s",
                                       value_columns(groups[i]));
        literals_at += (size_t)snprintf(literals + literals_at, sizeof literals - literals_at,
                                        ", %s", literal);
    }
    put_statement(key, columns, literals, made, sql, sizeof sql);
    bool done = phone_sql(phone, sql) && sqlite3_changes(phone->app) == 1;
    for (size_t i = 0; i < count; i++) {
        ledger_wrote(&sim->ledger, values[i], phone->index, key, groups[i]->group, seen[i]);
        /* What failed as the power went may stand there all the same. */
        if (done || phone->disk->down)
            write_over(sim, phone, seen[i]);
        if (!done)
            ledger_over(&sim->ledger, values[i]);
        tell_edit(sim, phone, values[i], made, done, bad);
    }
    return done;
}

static bool pick(struct sim *sim, struct phone *phone, uint32_t type, struct record_key *key_out)
{
    char sql[SQL_LEN];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", value_table(type));
    int64_t count = phone_number(phone, sql);
    if (count <= 0)
        return false;
    unsigned at = (unsigned)sim_below(sim, (uint64_t)count);
    snprintf(sql, sizeof sql, "SELECT id FROM %s ORDER BY id LIMIT 1 OFFSET %u", value_table(type),
             at);
    *key_out = (struct record_key){.type = type};
    if (!phone_id(phone, sql, &key_out->id))
        return false;
    if (type >= TYPE_FACILITY)
        return true;
    snprintf(sql, sizeof sql, "SELECT %s FROM %s ORDER BY id LIMIT 1 OFFSET %u",
             type == TYPE_PATIENT ? "id" : "patient_id", value_table(type), at);
    return phone_id(phone, sql, &key_out->family);
}

/* ---- Edits ------------------------------------------------------------------------------- */

static bool knows_type(const struct phone *phone, uint32_t type)
{
    return phone->schema == NULL || record_type_by_number(phone->schema, type) != NULL;
}

static void edit(struct sim *sim, struct phone *phone, const struct record_key *key, bool bad)
{
    const struct value_group *groups[GROUPS_MAX];
    size_t count = 0, kept = 0;

    for (size_t i = 0; i < value_group_count; i++)
        if (value_groups[i].type == key->type && value_groups[i].column != NULL &&
            (!bad || value_groups[i].spoils))
            groups[count++] = &value_groups[i];
    size_t wanted = 1 + (size_t)sim_below(sim, count < 3 ? count : 3);
    while (kept < wanted) {
        size_t other = kept + (size_t)sim_below(sim, count - kept);
        const struct value_group *group = groups[other];
        groups[other] = groups[kept];
        groups[kept++] = group;
    }
    write_row(sim, phone, key, groups, kept, bad, false);
}

static bool make(struct sim *sim, struct phone *phone, const struct record_key *key)
{
    const struct value_group *groups[GROUPS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < value_group_count; i++)
        if (value_groups[i].type == key->type && value_groups[i].column != NULL &&
            (value_groups[i].group < 8 || sim_chance(sim, 20)))
            groups[count++] = &value_groups[i];
    return write_row(sim, phone, key, groups, count, sim_chance(sim, 3), true);
}

/* facility NULL: it is taken back. */
static void set_facility(struct phone *phone, const struct record_key *key, const char *column,
                         const struct record_uuid *facility)
{
    char sql[SQL_LEN], id[PHONE_BLOB_LEN], to[PHONE_BLOB_LEN];

    snprintf(sql, sizeof sql, "UPDATE patient SET %s = %s WHERE id = %s", column,
             facility != NULL ? phone_blob(facility, to) : "x''", phone_blob(&key->id, id));
    phone_sql(phone, sql);
}

static void make_patient(struct sim *sim, struct phone *phone)
{
    struct record_key key = {.type = TYPE_PATIENT, .id = sim_new_id(sim, TYPE_PATIENT)};

    key.family = key.id;
    if (!make(sim, phone, &key))
        return;
    if (sim_has(sim, SIM_MOVES_BIT) && sim_chance(sim, 20)) {
        struct record_uuid facility = sim_facility((unsigned)sim_below(sim, SIM_FACILITIES));
        set_facility(phone, &key, "assigned_facility_id", &facility);
        sim_say(sim, "  assigned to facility %u", facility.bytes[1]);
    }
}

static void make_child(struct sim *sim, struct phone *phone)
{
    static const uint32_t types[] = {TYPE_PRESSURE, TYPE_PRESSURE, TYPE_PHONE, TYPE_IDENTIFIER};
    uint32_t type = types[sim_below(sim, 4)];
    struct record_key patient;

    if (!knows_type(phone, type) || !pick(sim, phone, TYPE_PATIENT, &patient))
        return;
    struct record_key key = {.type = type, .family = patient.family, .id = sim_new_id(sim, type)};
    make(sim, phone, &key);
}

/* R25: it stays here until it is made smaller. */
static void edit_oversize(struct sim *sim, struct phone *phone)
{
    const struct value_group *address = value_group_find(TYPE_PATIENT, 7);
    char sql[SQL_LEN], id[PHONE_BLOB_LEN], name[48];
    struct record_key key;

    if (!pick(sim, phone, TYPE_PATIENT, &key))
        return;
    uint32_t n = ledger_value(&sim->ledger), seen = value_now(phone, &key, address);
    snprintf(sql, sizeof sql,
             "UPDATE patient SET street_address = 'v%06u' || hex(zeroblob(%d)) WHERE id = %s", n,
             OVERSIZE_BYTES / 2, phone_blob(&key.id, id));
    ledger_wrote(&sim->ledger, n, phone->index, &key, address->group, seen);
    bool done = phone_sql(phone, sql);
    if (done || phone->disk->down)
        write_over(sim, phone, seen);
    if (!done)
        ledger_over(&sim->ledger, n);
    sim_say(sim, "  phone %d makes %s too large with %u", phone->index, sim_name(&key, name), n);
}

/* A nurse empties a field. */
static void empty_field(struct sim *sim, struct phone *phone)
{
    const struct value_group *pin = value_group_find(TYPE_PATIENT, 13);
    const struct value_group *zone = value_group_find(TYPE_PATIENT, 9);
    const struct value_group *group = sim_chance(sim, 60) ? pin : zone;
    char sql[SQL_LEN], id[PHONE_BLOB_LEN], name[48];
    struct record_key key;

    if (!pick(sim, phone, TYPE_PATIENT, &key))
        return;
    uint32_t seen = value_now(phone, &key, group);
    snprintf(sql, sizeof sql, "UPDATE patient SET %s = '' WHERE id = %s", group->column,
             phone_blob(&key.id, id));
    if (phone_sql(phone, sql) || phone->disk->down)
        write_over(sim, phone, seen);
    struct sim_deleted emptied = {.key = key, .phone = phone->index};
    emptied.values[group - value_groups] = seen;
    note_deleted(sim, &emptied);
    sim_say(sim, "  phone %d empties %s of %s (saw %u)", phone->index, group->column,
            sim_name(&key, name), seen);
}

static void undelete(struct sim *sim, struct phone *phone)
{
    char sql[SQL_LEN], where[SQL_LEN / 2], id[PHONE_BLOB_LEN];

    if (sim->deleted_count == 0)
        return;
    const struct sim_deleted *deleted = &sim->deleted[sim_below(sim, sim->deleted_count)];
    struct record_key key = deleted->key;
    /* Nobody brings back what was never near. */
    if (!knows_type(phone, key.type) ||
        record_uuid_compare(&sim->phones[deleted->phone].enrolment_region,
                            &phone->enrolment_region) != 0)
        return;
    put_where(&key, where, sizeof where);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s%s", value_table(key.type), where);
    if (phone_number(phone, sql) != 0)
        return;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM patient WHERE id = %s",
             phone_blob(&key.family, id));
    if (key.type != TYPE_PATIENT && phone_number(phone, sql) != 1)
        return;
    sim_say(sim, "  phone %d brings one back", phone->index);
    make(sim, phone, &key);
}

void user_act(struct sim *sim, struct phone *phone)
{
    static const uint32_t types[] = {TYPE_PATIENT,  TYPE_PATIENT, TYPE_PATIENT,
                                     TYPE_PRESSURE, TYPE_PHONE,   TYPE_IDENTIFIER};
    uint64_t draw = sim_below(sim, 100);
    struct record_key key;

    if (draw < 22 || phone_number(phone, "SELECT count(*) FROM patient") <= 0) {
        make_patient(sim, phone);
    } else if (draw < 48) {
        make_child(sim, phone);
    } else if (draw < 49) {
        edit_oversize(sim, phone);
    } else if (draw < 51) {
        empty_field(sim, phone);
    } else if (draw < 54 && sim_has(sim, SIM_DELETES_BIT)) {
        undelete(sim, phone);
    } else if (draw < 58) {
        user_repair(sim, phone);
    } else {
        uint32_t type = types[sim_below(sim, 6)];
        if (knows_type(phone, type) && pick(sim, phone, type, &key))
            edit(sim, phone, &key, draw > 94 && type != TYPE_IDENTIFIER);
    }
}

void user_move(struct sim *sim, struct phone *phone)
{
    struct record_uuid facility = sim_facility((unsigned)sim_below(sim, SIM_FACILITIES));
    bool taken_back = sim_chance(sim, 20);
    bool registration = !taken_back && sim_chance(sim, 20); /* which stays what it was first */
    struct record_key key;
    char name[48], sql[SQL_LEN], id[PHONE_BLOB_LEN];

    if (!pick(sim, phone, TYPE_PATIENT, &key))
        return;
    /* Of a new one it would be where it belongs, which may be nowhere near. */
    snprintf(sql, sizeof sql, "SELECT outpost_version FROM patient WHERE id = %s",
             phone_blob(&key.id, id));
    registration = registration && phone_number(phone, sql) > 0;
    set_facility(phone, &key, registration ? "registration_facility_id" : "assigned_facility_id",
                 taken_back ? NULL : &facility);
    sim_say(sim, "  phone %d %s %s to facility %d", phone->index,
            registration ? "registers" : "assigns", sim_name(&key, name),
            taken_back ? -1 : facility.bytes[1]);
}

void user_switch(struct sim *sim, struct phone *phone)
{
    unsigned to = (unsigned)sim_below(sim, SIM_FACILITIES);
    struct record_uuid facility = sim_facility(to);

    /* An administrator may work everywhere. */
    if (phone_number(phone, "SELECT admin FROM outpost_state") != 1 &&
        (phone->regions & 1u << to / 2) == 0)
        return;
    if (device_half_set_facility(phone->half, &facility))
        sim_say(sim, "  phone %d works at facility %u", phone->index, to);
}

void user_delete(struct sim *sim, struct phone *phone)
{
    static const uint32_t types[] = {TYPE_PATIENT, TYPE_PRESSURE, TYPE_PRESSURE, TYPE_PHONE,
                                     TYPE_IDENTIFIER};
    uint32_t type = types[sim_below(sim, 5)];
    char sql[SQL_LEN], where[SQL_LEN / 2], name[48];
    struct record_key key;

    if (!knows_type(phone, type) || !pick(sim, phone, type, &key))
        return;
    put_where(&key, where, sizeof where);
    snprintf(sql, sizeof sql, "DELETE FROM %s%s", value_table(type), where);
    struct sim_deleted deleted = {.key = key, .phone = phone->index};
    write_over_row(sim, phone, &deleted);
    for (uint32_t n = 1; type == TYPE_PATIENT && n < sim->ledger.edit_count; n++)
        if (record_uuid_compare(&sim->ledger.edits[n].key.family, &key.family) == 0)
            write_over(sim, phone, n);
    bool done = phone_sql(phone, sql);
    sim_say(sim, "  phone %d deletes %s%s", phone->index, sim_name(&key, name),
            done ? "" : ", which fails");
    if (done)
        note_deleted(sim, &deleted);
}

void user_administer(struct sim *sim, struct phone *phone)
{
    struct record_key key = {.type = TYPE_FACILITY};
    char sql[SQL_LEN], id[PHONE_BLOB_LEN], region[PHONE_BLOB_LEN];

    if (phone_number(phone, "SELECT admin FROM outpost_state") != 1)
        return;
    if (sim_chance(sim, 70) && pick(sim, phone, TYPE_FACILITY, &key)) {
        edit(sim, phone, &key, false);
        return;
    }
    key.id = sim_new_id(sim, TYPE_FACILITY);
    if (!make(sim, phone, &key))
        return;
    struct record_uuid home = sim_region((unsigned)sim_below(sim, SIM_REGIONS));
    snprintf(sql, sizeof sql, "UPDATE facility SET sync_region_id = %s WHERE id = %s",
             phone_blob(&home, region), phone_blob(&key.id, id));
    phone_sql(phone, sql);
}

/* ---- Repairs ------------------------------------------------------------------------------- */

size_t user_repair(struct sim *sim, struct phone *phone)
{
    struct record_key keys[64];
    size_t count = 0;
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(phone->app,
                           "SELECT r.type, r.family_id, r.id FROM outpost_rejected r"
                           " JOIN outpost_pending p ON p.type = r.type AND p.family_id ="
                           " r.family_id AND p.id = r.id AND p.generation = r.generation"
                           " WHERE r.reason <> 7 ORDER BY 1, 2, 3",
                           -1, &statement, NULL) == SQLITE_OK)
        while (count < sizeof keys / sizeof keys[0] && sqlite3_step(statement) == SQLITE_ROW) {
            keys[count].type = (uint32_t)sqlite3_column_int64(statement, 0);
            memcpy(keys[count].family.bytes, sqlite3_column_blob(statement, 1), RECORD_UUID_LEN);
            memcpy(keys[count++].id.bytes, sqlite3_column_blob(statement, 2), RECORD_UUID_LEN);
        }
    sqlite3_finalize(statement);
    for (size_t i = 0; i < count; i++) {
        const struct value_group *groups[GROUPS_MAX];
        size_t group_count = 0;
        for (size_t g = 0; g < value_group_count; g++)
            if (value_groups[g].type == keys[i].type && value_groups[g].column != NULL &&
                (value_groups[g].spoils || value_groups[g].group == 7 ||
                 keys[i].type == TYPE_FACILITY || keys[i].type == TYPE_IDENTIFIER))
                groups[group_count++] = &value_groups[g];
        write_row(sim, phone, &keys[i], groups, group_count, false, false);
    }
    return count;
}
