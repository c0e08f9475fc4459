/* SPDX-License-Identifier: Apache-2.0
 *
 * outpost import synthea: patients and blood pressures of a Synthea export
 * become rows, by ordinary SQL, so that the triggers mark them for the next
 * sync. The one place of the device where columns of a foreign format meet the
 * names of record types and fields.
 *
 * Importing twice changes nothing, and never undoes a nurse's edit: what a
 * record looked like in the files is remembered by a hash (table
 * outpost_synthea_import). A record with the same hash is left alone, whatever became of
 * its row since, deletion included; one that the files tell differently now is
 * updated; a row that is here without having been imported (it came by sync) is
 * taken as imported.
 *
 * A reading is what two observations of one encounter and time say (LOINC 8480-6
 * and 8462-4); half a reading is counted and left out. Its id is the UUIDv5 of
 * "blood_pressure|ENCOUNTER|DATE", the encounter in lower case.
 */
#include "command.h"

#include "outpost/synthea_csv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char systolic_code[] = "8480-6";
static const char diastolic_code[] = "8462-4";

/* The enum values of patient.proto that Synthea knows. */
enum { GENDER_FEMALE = 1, GENDER_MALE = 2, GENDER_OTHER = 4 };
enum { STATUS_ACTIVE = 1, STATUS_DEAD = 2 };

enum patient_column {
    PATIENT_ID,
    PATIENT_BIRTHDATE,
    PATIENT_DEATHDATE,
    PATIENT_FIRST,
    PATIENT_LAST,
    PATIENT_GENDER,
    PATIENT_ADDRESS,
    PATIENT_CITY,
    PATIENT_COUNTY,
    PATIENT_STATE,
    PATIENT_ZIP,
    PATIENT_COLUMNS,
};

static const char *const patient_columns[PATIENT_COLUMNS] = {
    "Id",      "BIRTHDATE", "DEATHDATE", "FIRST", "LAST", "GENDER",
    "ADDRESS", "CITY",      "COUNTY",    "STATE", "ZIP",
};

enum { ENCOUNTER_ID, ENCOUNTER_ORGANIZATION, ENCOUNTER_COLUMNS };

static const char *const encounter_columns[ENCOUNTER_COLUMNS] = {"Id", "ORGANIZATION"};

enum {
    OBSERVATION_DATE,
    OBSERVATION_PATIENT,
    OBSERVATION_ENCOUNTER,
    OBSERVATION_CODE,
    OBSERVATION_VALUE,
    OBSERVATION_COLUMNS,
};

static const char *const observation_columns[OBSERVATION_COLUMNS] = {
    "DATE", "PATIENT", "ENCOUNTER", "CODE", "VALUE",
};

/* X(name, SQL) */
#define IMPORT_STATEMENTS(X)                                                                     \
    X(SEEN, "SELECT hash FROM outpost_synthea_import WHERE id = ?1")                             \
    X(REMEMBER, "INSERT OR REPLACE INTO outpost_synthea_import (id, hash) VALUES (?1, ?2)")      \
    X(PATIENT_HERE, "SELECT 1 FROM patient WHERE id = ?1")                                       \
    X(PATIENT_INSERT,                                                                            \
      "INSERT INTO patient (id, full_name, gender, date_of_birth, status, street_address,"       \
      " village_or_colony, district, state, pin_code, registration_facility_id)"                 \
      " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, facility_id FROM outpost_state")         \
    X(PATIENT_UPDATE,                                                                            \
      "UPDATE patient SET full_name = ?2, gender = ?3, date_of_birth = ?4, age_years = 0,"       \
      " age_recorded_at_ms = 0, status = ?5, street_address = ?6, village_or_colony = ?7,"       \
      " district = ?8, state = ?9, pin_code = ?10 WHERE id = ?1")                                \
    X(ENCOUNTER_PUT, "INSERT OR REPLACE INTO temp.encounter (id, organization) VALUES (?1, ?2)") \
    X(READING_PUT, "INSERT OR IGNORE INTO temp.reading (id, patient, encounter, taken_at_ms)"    \
                   " VALUES (?1, ?2, ?3, ?4)")                                                   \
    X(READING_SYSTOLIC, "UPDATE temp.reading SET systolic = ?2 WHERE id = ?1")                   \
    X(READING_DIASTOLIC, "UPDATE temp.reading SET diastolic = ?2 WHERE id = ?1")                 \
    X(READINGS, "SELECT r.id, r.patient, r.taken_at_ms, r.systolic, r.diastolic,"                \
                " coalesce((SELECT f.id FROM facility f WHERE f.id = e.organization),"           \
                " (SELECT facility_id FROM outpost_state))"                                      \
                " FROM temp.reading r LEFT JOIN temp.encounter e ON e.id = r.encounter"          \
                " ORDER BY r.patient, r.id")                                                     \
    X(READING_HERE, "SELECT 1 FROM blood_pressure WHERE patient_id = ?2 AND id = ?1")            \
    X(READING_INSERT, "INSERT INTO blood_pressure (id, patient_id, recorded_at_ms,"              \
                      " systolic_mmhg, diastolic_mmhg, facility_id)"                             \
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                        \
    X(READING_UPDATE, "UPDATE blood_pressure SET recorded_at_ms = ?3, systolic_mmhg = ?4,"       \
                      " diastolic_mmhg = ?5 WHERE patient_id = ?2 AND id = ?1")

enum import_statement {
#define X(name, sql) IMPORT_##name,
    IMPORT_STATEMENTS(X)
#undef X
        IMPORT_STATEMENT_COUNT
};

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS outpost_synthea_import (id BLOB NOT NULL PRIMARY KEY,"
    " hash BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TEMP TABLE encounter (id BLOB NOT NULL PRIMARY KEY, organization BLOB NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TEMP TABLE reading (id BLOB NOT NULL PRIMARY KEY, patient BLOB NOT NULL,"
    " encounter BLOB NOT NULL, taken_at_ms INTEGER NOT NULL, systolic INTEGER,"
    " diastolic INTEGER) WITHOUT ROWID;";

struct importing {
    struct command *command;
    sqlite3 *app;
    struct record_hasher *hasher;
    sqlite3_stmt *statements[IMPORT_STATEMENT_COUNT];
    struct outpost_status status; /* the first failure */
    uint64_t patients, readings, changed, unchanged, incomplete, without_patient;
};

/* ---- Failures and statements ------------------------------------------------------------ */

static bool fail(struct importing *importing, enum outpost_code code, const char *message)
{
    if (importing->status.code == OUTPOST_OK)
        importing->status = command_fail(code, "%s", message);
    return false;
}

static bool fail_sqlite(struct importing *importing)
{
    int result = sqlite3_errcode(importing->app) & 0xff;

    if (result == SQLITE_BUSY || result == SQLITE_LOCKED)
        return fail(importing, OUTPOST_TRY_LATER, "the database is busy; try again later");
    if (importing->status.code == OUTPOST_OK)
        importing->status = command_fail(
            OUTPOST_IO, "%s: %s; check that the disk has room and the file can be written",
            importing->command->db, sqlite3_errstr(result));
    return false;
}

static bool fail_row(struct importing *importing, const struct synthea_csv *csv,
                     const struct synthea_row *row, const char *what)
{
    struct synthea_error error;

    synthea_csv_explain(csv, row->line, what, &error);
    return fail(importing, OUTPOST_BAD_INPUT, error.message);
}

static sqlite3_stmt *statement_of(struct importing *importing, enum import_statement which)
{
    static const char *const texts[] = {
#define X(name, sql) sql,
        IMPORT_STATEMENTS(X)
#undef X
    };
    sqlite3_stmt **slot = &importing->statements[which];

    if (*slot == NULL &&
        sqlite3_prepare_v2(importing->app, texts[which], -1, slot, NULL) != SQLITE_OK) {
        fail_sqlite(importing);
        return NULL;
    }
    sqlite3_reset(*slot);
    return *slot;
}

static void bind_id(sqlite3_stmt *statement, int index, const struct record_uuid *id)
{
    sqlite3_bind_blob(statement, index, id->bytes, RECORD_UUID_LEN, SQLITE_TRANSIENT);
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
}

/* Runs to the end; row_out (may be NULL) tells whether there was a row. */
static bool run(struct importing *importing, sqlite3_stmt *statement, bool *row_out)
{
    int result = statement != NULL ? sqlite3_step(statement) : SQLITE_ERROR;

    if (row_out != NULL)
        *row_out = result == SQLITE_ROW;
    if (statement != NULL)
        sqlite3_reset(statement);
    return result == SQLITE_ROW || result == SQLITE_DONE || fail_sqlite(importing);
}

/* ---- Remembering -------------------------------------------------------------------------- */

enum novelty {
    NOVELTY_NONE,    /* the files say what they said before */
    NOVELTY_INSERT,  /* not here */
    NOVELTY_UPDATE,  /* imported before, and different in the files now */
    NOVELTY_ADOPTED, /* here by other ways than an import */
    NOVELTY_FAILED,
};

static enum novelty judge(struct importing *importing, const struct record_uuid *id,
                          const uint8_t hash[RECORD_SHA256_LEN], sqlite3_stmt *here)
{
    sqlite3_stmt *seen = statement_of(importing, IMPORT_SEEN);
    sqlite3_stmt *remember = statement_of(importing, IMPORT_REMEMBER);
    bool present;
    int result;

    if (seen == NULL || remember == NULL || here == NULL)
        return NOVELTY_FAILED;
    bind_id(seen, 1, id);
    result = sqlite3_step(seen);
    bool same = result == SQLITE_ROW &&
                rpc_bytes_equal(rpc_bytes_view(sqlite3_column_blob(seen, 0),
                                               (size_t)sqlite3_column_bytes(seen, 0)),
                                rpc_bytes_view(hash, RECORD_SHA256_LEN));
    sqlite3_reset(seen);
    if (same)
        return NOVELTY_NONE;
    bind_id(remember, 1, id);
    sqlite3_bind_blob(remember, 2, hash, RECORD_SHA256_LEN, SQLITE_TRANSIENT);
    if (!run(importing, here, &present) || !run(importing, remember, NULL))
        return NOVELTY_FAILED;
    if (!present)
        return NOVELTY_INSERT;
    return result == SQLITE_ROW ? NOVELTY_UPDATE : NOVELTY_ADOPTED;
}

static bool write_row(struct importing *importing, enum novelty novelty, sqlite3_stmt *statement)
{
    if (novelty == NOVELTY_NONE || novelty == NOVELTY_ADOPTED) {
        importing->unchanged++;
        return true;
    }
    importing->changed++;
    return run(importing, statement, NULL);
}

/* A hash over the texts that make a record, each with its NUL. */
static void hash_texts(struct importing *importing, const char *const *texts, size_t count,
                       uint8_t hash_out[RECORD_SHA256_LEN])
{
    struct rpc_bytes parts[SYNTHEA_COLUMNS_MAX];

    for (size_t i = 0; i < count; i++)
        parts[i] = rpc_bytes_view(texts[i], strlen(texts[i]) + 1);
    record_hash(importing->hasher, parts, count, hash_out);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static bool read_file(struct importing *importing, const char *name, const char *const *columns,
                      size_t column_count,
                      bool (*take)(struct importing *importing, const struct synthea_csv *csv,
                                   const struct synthea_row *row))
{
    char path[4096];
    struct synthea_error error;
    struct synthea_row row;
    struct synthea_csv *csv;
    enum synthea_status status;
    bool good = true;

    if (snprintf(path, sizeof path, "%s/%s", importing->command->words[1], name) >=
        (int)sizeof path)
        return fail(importing, OUTPOST_BAD_INPUT, "CSVDIR is too long");
    csv = synthea_csv_open(path, columns, column_count, &error);
    if (csv == NULL)
        return fail(importing, OUTPOST_BAD_INPUT, error.message);
    while (good && (status = synthea_csv_next(csv, &row, &error)) != SYNTHEA_END)
        good = status == SYNTHEA_ROW ? take(importing, csv, &row)
                                     : fail(importing, OUTPOST_BAD_INPUT, error.message);
    synthea_csv_close(csv);
    return good;
}

/* ---- Patients ----------------------------------------------------------------------------------
 */

static int gender_of(const char *text)
{
    if (strcmp(text, "F") == 0)
        return GENDER_FEMALE;
    if (strcmp(text, "M") == 0)
        return GENDER_MALE;
    return text[0] == '\0' ? 0 : GENDER_OTHER;
}

static bool put_patient(struct importing *importing, const char *const *values,
                        const struct record_uuid *id, enum novelty novelty)
{
    sqlite3_stmt *put = statement_of(importing, novelty == NOVELTY_UPDATE ? IMPORT_PATIENT_UPDATE
                                                                          : IMPORT_PATIENT_INSERT);
    const char *first = values[PATIENT_FIRST], *last = values[PATIENT_LAST];
    char *name;

    if (put == NULL)
        return false;
    name = sqlite3_mprintf("%s%s%s", first, first[0] != '\0' && last[0] != '\0' ? " " : "", last);
    if (name == NULL)
        return fail(importing, OUTPOST_IO, "no memory");
    bind_id(put, 1, id);
    bind_text(put, 2, name);
    sqlite3_bind_int(put, 3, gender_of(values[PATIENT_GENDER]));
    bind_text(put, 4, values[PATIENT_BIRTHDATE]);
    sqlite3_bind_int(put, 5, values[PATIENT_DEATHDATE][0] != '\0' ? STATUS_DEAD : STATUS_ACTIVE);
    bind_text(put, 6, values[PATIENT_ADDRESS]);
    bind_text(put, 7, values[PATIENT_CITY]);
    bind_text(put, 8, values[PATIENT_COUNTY]);
    bind_text(put, 9, values[PATIENT_STATE]);
    bind_text(put, 10, values[PATIENT_ZIP]);
    sqlite3_free(name);
    return write_row(importing, novelty, put);
}

static bool take_patient(struct importing *importing, const struct synthea_csv *csv,
                         const struct synthea_row *row)
{
    uint8_t hash[RECORD_SHA256_LEN];
    struct record_uuid id;
    sqlite3_stmt *here;
    int64_t time_ms;

    if (!record_uuid_parse(row->values[PATIENT_ID], &id))
        return fail_row(importing, csv, row, "Id is not a UUID");
    if (!synthea_time_parse(row->values[PATIENT_BIRTHDATE], &time_ms) ||
        strlen(row->values[PATIENT_BIRTHDATE]) != 10)
        return fail_row(importing, csv, row, "BIRTHDATE is not a date, YYYY-MM-DD");
    importing->patients++;
    hash_texts(importing, row->values, PATIENT_COLUMNS, hash);
    here = statement_of(importing, IMPORT_PATIENT_HERE);
    bind_id(here, 1, &id);
    enum novelty novelty = judge(importing, &id, hash, here);
    return novelty != NOVELTY_FAILED && put_patient(importing, row->values, &id, novelty);
}

/* ---- Readings
 * ------------------------------------------------------------------------------------ */

static bool take_encounter(struct importing *importing, const struct synthea_csv *csv,
                           const struct synthea_row *row)
{
    sqlite3_stmt *put = statement_of(importing, IMPORT_ENCOUNTER_PUT);
    struct record_uuid id, organization;

    if (!record_uuid_parse(row->values[ENCOUNTER_ID], &id))
        return fail_row(importing, csv, row, "Id is not a UUID");
    if (!record_uuid_parse(row->values[ENCOUNTER_ORGANIZATION], &organization))
        return fail_row(importing, csv, row, "ORGANIZATION is not a UUID");
    if (put == NULL)
        return false;
    bind_id(put, 1, &id);
    bind_id(put, 2, &organization);
    return run(importing, put, NULL);
}

/* A whole number of mmHg, halves away from zero. */
static bool parse_pressure(const char *text, int *mmhg_out)
{
    char *end;
    double value;

    errno = 0;
    value = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !(fabs(value) < 1e6))
        return false;
    *mmhg_out = (int)lround(value);
    return true;
}

static bool reading_id(const struct record_uuid *encounter, const char *date,
                       struct record_uuid *id_out)
{
    char uuid[RECORD_UUID_TEXT_LEN + 1];
    char name[160];
    int len;

    record_uuid_format(encounter, uuid);
    len = snprintf(name, sizeof name, "blood_pressure|%s|%s", uuid, date);
    return len < (int)sizeof name && record_uuid_v5(rpc_bytes_view(name, (size_t)len), id_out);
}

static bool put_half(struct importing *importing, const struct record_uuid *id, bool systolic,
                     int mmhg)
{
    sqlite3_stmt *half =
        statement_of(importing, systolic ? IMPORT_READING_SYSTOLIC : IMPORT_READING_DIASTOLIC);

    bind_id(half, 1, id);
    sqlite3_bind_int(half, 2, mmhg);
    return run(importing, half, NULL);
}

static bool take_observation(struct importing *importing, const struct synthea_csv *csv,
                             const struct synthea_row *row)
{
    bool systolic = strcmp(row->values[OBSERVATION_CODE], systolic_code) == 0;
    sqlite3_stmt *put;
    struct record_uuid patient, encounter, id;
    int64_t taken_at_ms;
    int mmhg;

    if (!systolic && strcmp(row->values[OBSERVATION_CODE], diastolic_code) != 0)
        return true;
    if (!record_uuid_parse(row->values[OBSERVATION_PATIENT], &patient))
        return fail_row(importing, csv, row, "PATIENT is not a UUID");
    if (!record_uuid_parse(row->values[OBSERVATION_ENCOUNTER], &encounter))
        return fail_row(importing, csv, row, "ENCOUNTER is not a UUID");
    if (!synthea_time_parse(row->values[OBSERVATION_DATE], &taken_at_ms) ||
        !reading_id(&encounter, row->values[OBSERVATION_DATE], &id))
        return fail_row(importing, csv, row, "DATE is not an ISO 8601 date and time");
    if (!parse_pressure(row->values[OBSERVATION_VALUE], &mmhg))
        return fail_row(importing, csv, row, "VALUE is not a number");
    put = statement_of(importing, IMPORT_READING_PUT);
    bind_id(put, 1, &id);
    bind_id(put, 2, &patient);
    bind_id(put, 3, &encounter);
    sqlite3_bind_int64(put, 4, taken_at_ms);
    return run(importing, put, NULL) && put_half(importing, &id, systolic, mmhg);
}

/* Copies a column of the collected reading into the statement that writes it. */
static void copy_column(sqlite3_stmt *to, int index, sqlite3_stmt *from, int column)
{
    sqlite3_bind_value(to, index, sqlite3_column_value(from, column));
}

static bool column_id(sqlite3_stmt *statement, int column, struct record_uuid *id_out)
{
    return record_uuid_from_bytes(rpc_bytes_view(sqlite3_column_blob(statement, column),
                                                 (size_t)sqlite3_column_bytes(statement, column)),
                                  id_out);
}

static bool has_patient(struct importing *importing, sqlite3_stmt *reading, bool *has_out)
{
    sqlite3_stmt *here = statement_of(importing, IMPORT_PATIENT_HERE);

    copy_column(here, 1, reading, 1);
    return run(importing, here, has_out);
}

static bool put_reading(struct importing *importing, sqlite3_stmt *reading)
{
    uint8_t hash[RECORD_SHA256_LEN];
    struct record_uuid id = {{0}};
    char values[64];
    const char *texts[] = {values};
    sqlite3_stmt *here = statement_of(importing, IMPORT_READING_HERE);
    sqlite3_stmt *put;
    bool has;

    if (sqlite3_column_type(reading, 3) == SQLITE_NULL ||
        sqlite3_column_type(reading, 4) == SQLITE_NULL) {
        importing->incomplete++;
        return true;
    }
    importing->readings++;
    if (!has_patient(importing, reading, &has) || !column_id(reading, 0, &id) || here == NULL)
        return false;
    if (!has) {
        importing->without_patient++;
        return true;
    }
    snprintf(values, sizeof values, "%d/%d", sqlite3_column_int(reading, 3),
             sqlite3_column_int(reading, 4));
    hash_texts(importing, texts, 1, hash);
    copy_column(here, 1, reading, 0);
    copy_column(here, 2, reading, 1);
    enum novelty novelty = judge(importing, &id, hash, here);
    if (novelty == NOVELTY_FAILED)
        return false;
    put = statement_of(importing,
                       novelty == NOVELTY_UPDATE ? IMPORT_READING_UPDATE : IMPORT_READING_INSERT);
    for (int i = 0; put != NULL && i < sqlite3_bind_parameter_count(put); i++)
        copy_column(put, i + 1, reading, i);
    return put != NULL && write_row(importing, novelty, put);
}

static bool put_readings(struct importing *importing)
{
    sqlite3_stmt *readings = statement_of(importing, IMPORT_READINGS);
    bool good = readings != NULL;
    int result = SQLITE_DONE;

    while (good && (result = sqlite3_step(readings)) == SQLITE_ROW)
        good = put_reading(importing, readings);
    if (good && result != SQLITE_DONE)
        good = fail_sqlite(importing);
    sqlite3_reset(readings);
    return good;
}

/* ---- All
 * ------------------------------------------------------------------------------------------ */

static bool execute(struct importing *importing, const char *sql)
{
    return sqlite3_exec(importing->app, sql, NULL, NULL, NULL) == SQLITE_OK ||
           fail_sqlite(importing);
}

static bool import_all(struct importing *importing)
{
    return execute(importing, "BEGIN IMMEDIATE") && execute(importing, tables) &&
           read_file(importing, "patients.csv", patient_columns, PATIENT_COLUMNS, take_patient) &&
           read_file(importing, "encounters.csv", encounter_columns, ENCOUNTER_COLUMNS,
                     take_encounter) &&
           read_file(importing, "observations.csv", observation_columns, OBSERVATION_COLUMNS,
                     take_observation) &&
           put_readings(importing) && execute(importing, "COMMIT");
}

static void close_all(struct importing *importing)
{
    for (size_t i = 0; i < IMPORT_STATEMENT_COUNT; i++)
        sqlite3_finalize(importing->statements[i]);
    record_hasher_free(importing->hasher);
    sqlite3_close(importing->app);
}

struct outpost_status command_import(struct command *command)
{
    struct importing importing = {.command = command};
    outpost *device;

    if (command->word_count != 2 || strcmp(command->words[0], "synthea") != 0)
        return command_fail(OUTPOST_USAGE, "usage: outpost import synthea CSVDIR --db FILE");
    importing.status = command_open(command, &device);
    if (importing.status.code != OUTPOST_OK)
        return importing.status;
    importing.status = command_open_app(command, &importing.app);
    importing.hasher = record_hasher_new();
    if (importing.status.code == OUTPOST_OK && importing.hasher == NULL)
        fail(&importing, OUTPOST_IO, "no memory");
    if (importing.status.code == OUTPOST_OK && import_all(&importing)) {
        command_put_count(command, "patients", importing.patients);
        command_put_count(command, "readings", importing.readings);
        command_put_count(command, "changed", importing.changed);
        command_put_count(command, "unchanged", importing.unchanged);
        command_put_count(command, "incomplete", importing.incomplete);
        command_put_count(command, "without_patient", importing.without_patient);
    }
    close_all(&importing);
    outpost_close(device);
    return importing.status;
}
