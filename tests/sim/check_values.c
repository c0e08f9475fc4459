/* SPDX-License-Identifier: Apache-2.0
 *
 * Every value (I6): one that was written is in a record, the history, a conflict, the
 * quarantine or on a phone; one that stands in a record was written there, and what
 * it replaced was either seen by its author or is listed as a conflict (R12).
 */
#include "check.h"

#include "peek.h"
#include "values.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MUTATION_BASE_VERSION = 3,
    MUTATION_DELETE = 4,
    MUTATION_FIELDS = 6,
    CLASHES = 1,
    CLASH_GROUP = 2,
    CLASH_ARRIVING_LOST = 3,
    CLASH_STORED = 4,
    CLASH_ARRIVING = 5,
    GROUPS_MAX = 16,
    ONE_WAY_GROUP = 13, /* of a patient; see server_end.c */
};

struct look {
    struct sim *sim;
    sqlite3 *db;
    bool *kept; /* by value */
};

/* ---- What is kept ----------------------------------------------------------------------- */

static void keep_body(struct look *look, uint32_t type, const void *body, size_t len)
{
    for (size_t i = 0; i < value_group_count; i++) {
        if (value_groups[i].type != type)
            continue;
        uint32_t n = value_in_body(&value_groups[i], body, len);
        if (n < look->sim->ledger.edit_count)
            look->kept[n] = true;
    }
}

/* The record type is the number of the envelope's one field from 10 on. */
static bool mutation_body(const void *mutation, size_t len, struct peek_field *body_out)
{
    struct peek peek = peek_over(mutation, len);
    struct peek_field field;

    while (peek_next(&peek, &field))
        if (field.number >= TYPE_PATIENT && field.data != NULL) {
            *body_out = field;
            return true;
        }
    return false;
}

static void keep_mutation(struct look *look, const void *mutation, size_t len)
{
    struct peek_field body;

    if (mutation_body(mutation, len, &body))
        keep_body(look, body.number, body.data, body.len);
}

static void keep_clashes(struct look *look, uint32_t type, const void *clashes, size_t len)
{
    struct peek peek = peek_over(clashes, len);
    struct peek_field clash, side;

    while (peek_next(&peek, &clash)) {
        if (clash.number != CLASHES)
            continue;
        if (peek_find(clash.data, clash.len, CLASH_STORED, &side))
            keep_body(look, type, side.data, side.len);
        if (peek_find(clash.data, clash.len, CLASH_ARRIVING, &side))
            keep_body(look, type, side.data, side.len);
    }
}

static void keep_server(struct look *look)
{
    sqlite3_stmt *rows = check_query(look->sim, look->db,
                                     "SELECT 0, type, body, NULL FROM record UNION ALL"
                                     " SELECT 1, type, mutation, NULL FROM change_log UNION ALL"
                                     " SELECT 1, 0, mutation, NULL FROM quarantine UNION ALL"
                                     " SELECT 1, type, mutation, clashes FROM conflict");

    while (rows != NULL && sqlite3_step(rows) == SQLITE_ROW) {
        uint32_t type = (uint32_t)sqlite3_column_int64(rows, 1);
        const void *bytes = sqlite3_column_blob(rows, 2);
        size_t len = (size_t)sqlite3_column_bytes(rows, 2);
        if (sqlite3_column_int(rows, 0) == 0)
            keep_body(look, type, bytes, len);
        else
            keep_mutation(look, bytes, len);
        keep_clashes(look, type, sqlite3_column_blob(rows, 3),
                     (size_t)sqlite3_column_bytes(rows, 3));
    }
    sqlite3_finalize(rows);
}

static void keep_phone(struct look *look, struct phone *phone)
{
    for (size_t i = 0; i < value_group_count; i++) {
        const struct value_group *group = &value_groups[i];
        char sql[2 * VALUES_SQL_LEN], expression[VALUES_SQL_LEN];
        sqlite3_stmt *rows = NULL;
        if (group->column == NULL)
            continue;
        value_expression(group, expression);
        snprintf(sql, sizeof sql, "SELECT %s FROM %s", expression, value_table(group->type));
        /* An older app has not all the tables. */
        if (sqlite3_prepare_v2(phone->app, sql, -1, &rows, NULL) == SQLITE_OK)
            while (sqlite3_step(rows) == SQLITE_ROW) {
                int64_t n = sqlite3_column_int64(rows, 0);
                if (n > 0 && n < look->sim->ledger.edit_count)
                    look->kept[n] = true;
            }
        sqlite3_finalize(rows);
    }
}

static void check_kept(struct look *look)
{
    struct ledger *ledger = &look->sim->ledger;
    char name[48];

    for (uint32_t n = 1; n < ledger->edit_count; n++) {
        const struct ledger_edit *edit = &ledger->edits[n];
        if (!look->kept[n] && !edit->over && edit->group != 0)
            sim_fail(look->sim, "phone %d wrote %u into %s, field %u: it is nowhere", edit->phone,
                     n, sim_name(&edit->key, name), edit->group);
    }
}

/* ---- The history of a record ---------------------------------------------------------------- */

/* Its values as the log's mutations make them, one after the other. */
struct line {
    struct record_key key;
    /* The facility that came first; zeros: the server filled in its author's. */
    uint8_t registered[RECORD_UUID_LEN];
    /* What stands in a tombstone may be written over by who brings it back; and who edits
     * a record that was deleted meanwhile sends all of it. */
    bool deleted, was_deleted;
    struct {
        uint32_t n;
        uint64_t version;
        uint8_t device[RECORD_UUID_LEN];
    } values[GROUPS_MAX]; /* of value_groups of its type, in their order */
};

/* One entry of the log. */
struct entry {
    const void *id, *device;
    uint64_t version;
    struct peek_field mutation;
};

static bool sets_group(const struct peek_field *mutation, const struct value_group *group)
{
    struct peek peek = peek_over(mutation->data, mutation->len);
    struct peek_field field;

    while (peek_next(&peek, &field)) {
        if (field.number != MUTATION_FIELDS)
            continue;
        struct peek packed = peek_over(field.data, field.len);
        uint64_t number = 0;
        unsigned shift = 0;
        if (field.data == NULL && field.value == group->field)
            return true;
        for (; packed.at < packed.end; packed.at++) {
            number |= (uint64_t)(*packed.at & 0x7f) << shift;
            shift += 7;
            if (*packed.at & 0x80)
                continue;
            if (number == group->field)
                return true;
            number = 0;
            shift = 0;
        }
    }
    return false;
}

enum clash_verdict { CLASH_NONE, CLASH_ARRIVING_WON, CLASH_STORED_WON };

/* Group 0: of the whole record. */
static enum clash_verdict clash_of(sqlite3_stmt *conflict, const void *id, uint32_t group)
{
    enum clash_verdict verdict = CLASH_NONE;

    sqlite3_bind_blob(conflict, 1, id, 16, SQLITE_STATIC);
    while (sqlite3_step(conflict) == SQLITE_ROW) {
        struct peek peek =
            peek_over(sqlite3_column_blob(conflict, 0), (size_t)sqlite3_column_bytes(conflict, 0));
        struct peek_field clash, field;
        while (peek_next(&peek, &clash)) {
            bool grouped = peek_find(clash.data, clash.len, CLASH_GROUP, &field);
            if (clash.number != CLASHES || (grouped ? field.value : 0) != group)
                continue;
            verdict = peek_find(clash.data, clash.len, CLASH_ARRIVING_LOST, &field) && field.value
                          ? CLASH_STORED_WON
                          : CLASH_ARRIVING_WON;
        }
    }
    sqlite3_reset(conflict);
    return verdict;
}

/* R14: what others wrote after the base is not deleted. */
static void advance_delete(struct look *look, struct line *line, const struct entry *entry)
{
    struct peek_field base = {.value = 0};
    char name[48];

    peek_find(entry->mutation.data, entry->mutation.len, MUTATION_BASE_VERSION, &base);
    for (size_t i = 0; i < GROUPS_MAX; i++)
        if (line->values[i].n != 0 && line->values[i].version > base.value &&
            memcmp(line->values[i].device, entry->device, RECORD_UUID_LEN) != 0)
            sim_fail(look->sim, "%s was deleted with the value %u, which its author had not seen",
                     sim_name(&line->key, name), line->values[i].n);
    line->deleted = line->was_deleted = true;
}

static void advance_group(struct look *look, struct line *line, sqlite3_stmt *conflict,
                          const struct entry *entry, const struct value_group *group, uint32_t n,
                          size_t at)
{
    const struct ledger *ledger = &look->sim->ledger;
    uint32_t now = line->values[at].n;
    enum clash_verdict verdict = clash_of(conflict, entry->id, group->group);
    const struct ledger_edit *edit = ledger_edit_of(ledger, n), *old = ledger_edit_of(ledger, now);
    char name[48];

    if (n == now || verdict == CLASH_STORED_WON)
        return;
    if (group->form == VALUE_NUMBER && group->type == TYPE_PATIENT && n < now && n != 0)
        sim_fail(look->sim, "%s, field %u went from %u to %u; its rule is the maximum",
                 sim_name(&line->key, name), group->group, now, n);
    if (group->group == ONE_WAY_GROUP && group->type == TYPE_PATIENT && n == 0)
        sim_fail(look->sim, "%s, field %u was emptied; its rule is one-way",
                 sim_name(&line->key, name), group->group);
    /* R23: two files of one device are one author, until the server tells them apart. */
    bool one_device = memcmp(line->values[at].device, entry->device, RECORD_UUID_LEN) == 0;
    if (verdict == CLASH_NONE && !one_device && !line->deleted && edit != NULL && old != NULL &&
        edit->phone != old->phone && !ledger_had_seen(ledger, n, now))
        sim_fail(look->sim,
                 "%s, field %u: %u was written over by %u, whose author had not seen it, and no"
                 " conflict is listed",
                 sim_name(&line->key, name), group->group, now, n);
    /* A restored server is given journals in any order, and an old file sends its old
     * edits again in other company: what wins there is listed. */
    if (n != 0 && old != NULL && !line->was_deleted && look->sim->restores == 0 &&
        ((verdict == CLASH_NONE && !one_device) || !sim_has(look->sim, SIM_COPIES_BIT)) &&
        ledger_had_seen(ledger, now, n))
        sim_fail(look->sim, "%s, field %u: %u, which was written on %u, was undone by it",
                 sim_name(&line->key, name), group->group, now, n);
    line->values[at].n = n;
    line->values[at].version = entry->version;
    memcpy(line->values[at].device, entry->device, RECORD_UUID_LEN);
}

/* What its author writes on what nobody else had changed is still the first. */
static void note_registration(struct line *line, sqlite3_stmt *conflict, const struct entry *entry,
                              const struct peek_field *body)
{
    struct peek_field facility, base;

    if (line->key.type == TYPE_PATIENT &&
        !peek_find(entry->mutation.data, entry->mutation.len, MUTATION_BASE_VERSION, &base) &&
        peek_find(body->data, body->len, PATIENT_REGISTERED_AT, &facility) &&
        facility.len == RECORD_UUID_LEN &&
        clash_of(conflict, entry->id, PATIENT_REGISTERED_AT) != CLASH_STORED_WON)
        memcpy(line->registered, facility.data, RECORD_UUID_LEN);
}

static void advance_fields(struct look *look, struct line *line, sqlite3_stmt *conflict,
                           const struct entry *entry, const struct peek_field *body)
{
    size_t at = 0;

    for (size_t i = 0; i < value_group_count; i++) {
        const struct value_group *group = &value_groups[i];
        if (group->type != line->key.type)
            continue;
        if (sets_group(&entry->mutation, group))
            advance_group(look, line, conflict, entry, group,
                          value_in_body(group, body->data, body->len), at);
        at++;
    }
}

/* One mutation on the line. */
static void advance(struct look *look, struct line *line, sqlite3_stmt *conflict,
                    const struct entry *entry)
{
    struct peek_field body, field;
    bool deletes = peek_find(entry->mutation.data, entry->mutation.len, MUTATION_DELETE, &field) &&
                   field.value != 0;

    /* R22: an offered tombstone has a body, too. */
    if (mutation_body(entry->mutation.data, entry->mutation.len, &body)) {
        note_registration(line, conflict, entry, &body);
        advance_fields(look, line, conflict, entry, &body);
        line->deleted = line->deleted && deletes;
    }
    if (deletes && clash_of(conflict, entry->id, 0) != CLASH_STORED_WON)
        advance_delete(look, line, entry);
}

static void check_line(struct look *look, const struct line *line, sqlite3_stmt *record)
{
    size_t at = 0;
    char name[48];

    sqlite3_bind_blob(record, 1, line->key.family.bytes, RECORD_UUID_LEN, SQLITE_STATIC);
    sqlite3_bind_int64(record, 2, line->key.type);
    sqlite3_bind_blob(record, 3, line->key.id.bytes, RECORD_UUID_LEN, SQLITE_STATIC);
    if (sqlite3_step(record) == SQLITE_ROW) {
        const void *body = sqlite3_column_blob(record, 0);
        size_t len = (size_t)sqlite3_column_bytes(record, 0);
        static const uint8_t filled[RECORD_UUID_LEN];
        struct peek_field facility;
        if (line->key.type == TYPE_PATIENT &&
            memcmp(line->registered, filled, RECORD_UUID_LEN) != 0 &&
            (!peek_find(body, len, PATIENT_REGISTERED_AT, &facility) ||
             facility.len != RECORD_UUID_LEN ||
             memcmp(facility.data, line->registered, RECORD_UUID_LEN) != 0))
            sim_fail(look->sim, "%s is not registered where it was first",
                     sim_name(&line->key, name));
        for (size_t i = 0; i < value_group_count; i++) {
            const struct value_group *group = &value_groups[i];
            if (group->type != line->key.type)
                continue;
            uint32_t n = value_in_body(group, body, len), expected = line->values[at++].n;
            const struct ledger_edit *edit = ledger_edit_of(&look->sim->ledger, n);
            if (n != expected)
                sim_fail(look->sim, "%s, field %u is %u; by its history it is %u",
                         sim_name(&line->key, name), group->group, n, expected);
            if (edit != NULL &&
                (record_key_compare(&edit->key, &line->key) != 0 || edit->group != group->group))
                sim_fail(look->sim, "%s, field %u is %u, which was never written there",
                         sim_name(&line->key, name), group->group, n);
        }
    }
    sqlite3_reset(record);
}

static struct record_key column_key(sqlite3_stmt *row)
{
    struct record_key key = {.type = (uint32_t)sqlite3_column_int64(row, 1)};

    memcpy(key.family.bytes, sqlite3_column_blob(row, 0), RECORD_UUID_LEN);
    memcpy(key.id.bytes, sqlite3_column_blob(row, 2), RECORD_UUID_LEN);
    return key;
}

static void check_history(struct look *look)
{
    sqlite3_stmt *log = check_query(look->sim, look->db,
                                    "SELECT DISTINCT family_id, type, id, version, mutation_id,"
                                    " mutation, device_id FROM change_log WHERE kind = 1"
                                    " ORDER BY family_id, type, id, version");
    sqlite3_stmt *conflict =
        check_query(look->sim, look->db, "SELECT clashes FROM conflict WHERE mutation_id = ?1");
    sqlite3_stmt *record = check_query(
        look->sim, look->db,
        "SELECT body FROM record WHERE family_id = ?1 AND type = ?2 AND id = ?3 LIMIT 1");
    struct line line = {.key = {.type = 0}};

    while (log != NULL && conflict != NULL && record != NULL && sqlite3_step(log) == SQLITE_ROW) {
        struct record_key key = column_key(log);
        if (record_key_compare(&key, &line.key) != 0) {
            check_line(look, &line, record);
            line = (struct line){.key = key};
        }
        struct entry entry = {
            .id = sqlite3_column_blob(log, 4),
            .device = sqlite3_column_blob(log, 6),
            .version = (uint64_t)sqlite3_column_int64(log, 3),
            .mutation = {.data = sqlite3_column_blob(log, 5),
                         .len = (size_t)sqlite3_column_bytes(log, 5)},
        };
        advance(look, &line, conflict, &entry);
    }
    if (record != NULL)
        check_line(look, &line, record);
    sqlite3_finalize(log);
    sqlite3_finalize(conflict);
    sqlite3_finalize(record);
}

void check_values(struct sim *sim, sqlite3 *db)
{
    struct look look = {.sim = sim, .db = db, .kept = calloc(LEDGER_EDITS_MAX, sizeof *look.kept)};

    if (look.kept == NULL)
        abort();
    keep_server(&look);
    for (size_t i = 0; i < sim->phone_count; i++)
        if (sim->phones[i].used && sim->phones[i].app != NULL)
            keep_phone(&look, &sim->phones[i]);
    check_kept(&look);
    check_history(&look);
    free(look.kept);
}
