/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's generated SQL on a real SQLite file: whatever statement an app
 * writes, an edit of a record is marked, and what the server last knew of it is
 * kept, once. With the argument "print" the program writes the SQL instead, for
 * device_sql_cli.py and for whoever wants to read it.
 */
#include "outpost/record_device_sql.h"
#include "outpost/v1/schema.gen.h"
#include "suite.h"
#include "test/v1/schema.gen.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The library's own tables that the triggers use. */
static const char library_sql[] =
    "CREATE TABLE outpost_state(applying INTEGER NOT NULL DEFAULT 0);"
    "INSERT INTO outpost_state DEFAULT VALUES;"
    "CREATE TABLE outpost_pending(type INTEGER NOT NULL, family_id BLOB NOT NULL,"
    "  id BLOB NOT NULL, generation INTEGER NOT NULL,"
    "  PRIMARY KEY(type, family_id, id)) WITHOUT ROWID;";

#define ANNA "x'000000000000400080000000000000a1'"
#define BERT "x'000000000000400080000000000000b2'"
#define READING "x'00000000000040008000000000000001'"
#define OTHER_READING "x'00000000000040008000000000000002'"
#define PHONE "x'00000000000040008000000000000003'"
#define CLINIC "x'00000000000040008000000000000004'"

enum { PATIENT = 10, PATIENT_PHONE = 11, BLOOD_PRESSURE = 13, FACILITY = 14 };

/* ---- A device -------------------------------------------------------------- */

struct device {
    char path[64];
    sqlite3 *db;
};

static int execute(struct device *device, const char *sql)
{
    return sqlite3_exec(device->db, sql, NULL, NULL, NULL);
}

static void run(struct device *device, const char *sql)
{
    int result = execute(device, sql);

    if (result != SQLITE_OK)
        printf("\n  %s\n  %s\n", sql, sqlite3_errmsg(device->db));
    CU_ASSERT_EQUAL(result, SQLITE_OK);
}

/* The statement fails with exactly that message. */
static void refused(struct device *device, const char *sql, const char *message)
{
    CU_ASSERT_NOT_EQUAL(execute(device, sql), SQLITE_OK);
    CU_ASSERT_STRING_EQUAL(sqlite3_errmsg(device->db), message);
}

/* The SQL of one type; rpc_buffer_deinit. */
static const char *sql_of(const struct record_schema *schema, size_t type, struct rpc_buffer *sql)
{
    rpc_buffer_init(sql, RECORD_DEVICE_SQL_BYTES_MAX);
    record_device_sql(schema, &schema->types[type], sql);
    CU_ASSERT_FALSE_FATAL(sql->failed);
    return (const char *)sql->data;
}

/* The first column of the first row; -1: no row. */
static int64_t number(struct device *device, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;

    CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(device->db, sql, -1, &statement, NULL), SQLITE_OK);
    if (sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

static void make_tables(struct device *device, const struct record_schema *schema)
{
    for (size_t i = 0; i < schema->type_count; i++) {
        struct rpc_buffer sql;
        run(device, sql_of(schema, i, &sql));
        rpc_buffer_deinit(&sql);
    }
}

static void device_init(struct device *device)
{
    strcpy(device->path, "/tmp/outpost-device-sql-XXXXXX");
    int file = mkstemp(device->path);

    CU_ASSERT_FATAL(file >= 0);
    close(file);
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(device->path, &device->db), SQLITE_OK);
    run(device, "PRAGMA synchronous = OFF");
    run(device, library_sql);
    make_tables(device, &outpost_v1_schema);
}

static void device_deinit(struct device *device)
{
    CU_ASSERT_EQUAL(sqlite3_close(device->db), SQLITE_OK);
    unlink(device->path);
}

/* What a sync does in the end: the server knows every row as it stands. */
static void sync_all(struct device *device)
{
    char sql[512];

    run(device, "UPDATE outpost_state SET applying = 1; DELETE FROM outpost_pending");
    for (size_t i = 0; i < outpost_v1_schema.type_count; i++) {
        const char *table = outpost_v1_schema.types[i].table;
        snprintf(sql, sizeof sql,
                 "DELETE FROM outpost_base_%s;"
                 "UPDATE %s SET outpost_version = outpost_version + 1, outpost_stamp = 77,"
                 "  outpost_unknown = x'a80601'",
                 table, table);
        run(device, sql);
    }
    run(device, "UPDATE outpost_state SET applying = 0");
}

/* Anna with a phone and two readings, and Bert with a reading; all known. */
static void device_with_patients(struct device *device)
{
    device_init(device);
    run(device,
        "INSERT INTO patient(id, full_name, age_years) VALUES (" ANNA ", 'Anna', 40),"
        "  (" BERT ", 'Bert', 50);"
        "INSERT INTO patient_phone(patient_id, id, number) VALUES (" ANNA ", " PHONE ", '123456');"
        "INSERT INTO blood_pressure(patient_id, id, systolic_mmhg, diastolic_mmhg)"
        "  VALUES (" ANNA ", " READING ", 120, 80), (" ANNA ", " OTHER_READING ", 130, 85),"
        "  (" BERT ", " READING ", 140, 90);"
        "INSERT INTO facility(id, name) VALUES (" CLINIC ", 'Clinic')");
    sync_all(device);
}

/* Rows that are marked; of one type, or 0 for all. */
static int64_t marked(struct device *device, int type)
{
    char sql[128];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM outpost_pending WHERE %d IN (0, type)", type);
    return number(device, sql);
}

static int64_t generation(struct device *device, int type, const char *family, const char *id)
{
    char sql[256];

    snprintf(
        sql, sizeof sql,
        "SELECT generation FROM outpost_pending WHERE type = %d AND family_id = %s AND id = %s",
        type, family, id);
    return number(device, sql);
}

/* Anna's base is there and is what the server knew. */
static bool base_is_as_synced(struct device *device)
{
    return number(device, "SELECT count(*) FROM outpost_base_patient WHERE id = " ANNA
                          " AND full_name = 'Anna' AND age_years = 40 AND outpost_version = 1"
                          " AND outpost_stamp = 77 AND outpost_unknown = x'a80601'") == 1;
}

static int64_t bases(struct device *device, const char *table)
{
    char sql[128];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM outpost_base_%s", table);
    return number(device, sql);
}

/* ---- Tables ----------------------------------------------------------------- */

/* Goal: the SQL may be executed again (an upgraded library does it); rows and
 * marks stay. Method: execute it twice, for the product's and the test schema. */
static void test_sql_may_run_again(void)
{
    struct device device;

    device_with_patients(&device);
    run(&device, "UPDATE patient SET age_years = 41 WHERE id = " ANNA);
    make_tables(&device, &outpost_v1_schema);
    make_tables(&device, &test_v1_schema);
    make_tables(&device, &test_v1_schema);
    CU_ASSERT_EQUAL(number(&device, "SELECT count(*) FROM blood_pressure"), 3);
    CU_ASSERT_TRUE(base_is_as_synced(&device));
    run(&device, "UPDATE patient SET age_years = 42 WHERE id = " ANNA);
    CU_ASSERT_EQUAL(generation(&device, PATIENT, ANNA, ANNA), 2);
    device_deinit(&device);
}

/* Goal: a row with nothing but its ids has zeros, never NULL (DESIGN.md 5).
 * Method: insert such rows; in the test schema, which has every kind. */
static void test_columns_default_to_zero(void)
{
    struct device device;

    device_init(&device);
    make_tables(&device, &test_v1_schema);
    run(&device, "INSERT INTO person DEFAULT VALUES");
    CU_ASSERT_EQUAL(
        number(&device,
               "SELECT phone = '' AND mail = '' AND no_contact = 0 AND steps = 0 AND best = 0"
               "  AND total = 0 AND doses = 0 AND weight_kg = 0.0 AND typeof(weight_kg) = 'real'"
               "  AND height_m = 0.0 AND typeof(height_m) = 'real' AND mood = 0 AND high = 0.0"
               "  AND photo = x'' AND typeof(photo) = 'blob' AND home_id = x''"
               "  AND outpost_stamp = 0 AND outpost_version = 0 AND outpost_unknown = x'' FROM "
               "person"),
        1);
    run(&device, "INSERT INTO visit(person_id) SELECT id FROM person");
    CU_ASSERT_EQUAL(marked(&device, 10) + marked(&device, 20), 2);
    device_deinit(&device);
}

/* Goal: ids made by default are version 4 UUIDs, as blobs with their zero bytes,
 * each another one. Method: 1,000 rows by one INSERT .. SELECT. */
static void test_made_ids_are_uuids(void)
{
    struct device device;

    device_init(&device);
    run(&device, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
                 " INSERT INTO patient(full_name) SELECT 'P' || i FROM n");
    CU_ASSERT_EQUAL(number(&device, "SELECT count(DISTINCT id) FROM patient"), 1000);
    CU_ASSERT_EQUAL(number(&device, "SELECT count(*) FROM patient WHERE typeof(id) = 'blob'"
                                    " AND length(id) = 16 AND substr(hex(id), 13, 1) = '4'"
                                    " AND substr(hex(id), 17, 1) IN ('8', '9', 'A', 'B')"),
                    1000);
    /* Every byte value occurs where any may, zero too. */
    CU_ASSERT_EQUAL(
        number(&device,
               "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 16)"
               " SELECT count(DISTINCT substr(id, i, 1)) FROM patient, n"),
        256);
    CU_ASSERT_EQUAL(number(&device, "SELECT count(DISTINCT substr(id, 7, 1)) FROM patient"), 16);
    CU_ASSERT_TRUE(number(&device, "SELECT count(DISTINCT substr(id, 9, 1)) FROM patient") > 48);
    /* Trap: for a BEFORE INSERT trigger SQLite evaluates the default once more. */
    CU_ASSERT_EQUAL(number(&device, "SELECT count(*) FROM patient p JOIN outpost_pending o"
                                    " ON o.type = 10 AND o.id = p.id AND o.family_id = p.id"),
                    1000);
    CU_ASSERT_EQUAL(marked(&device, 0), 1000);
    device_deinit(&device);
}

/* Goal: the text encoding of the app's database does not matter to ids. Method:
 * a database in UTF-16. */
static void test_made_ids_in_utf16(void)
{
    struct device device;

    CU_ASSERT_EQUAL_FATAL(sqlite3_open(":memory:", &device.db), SQLITE_OK);
    run(&device, "PRAGMA encoding = 'UTF-16le'");
    run(&device, library_sql);
    make_tables(&device, &outpost_v1_schema);
    for (int i = 0; i < 100; i++)
        run(&device, "INSERT INTO patient(full_name) VALUES ('Zoë')");
    CU_ASSERT_EQUAL(number(&device, "SELECT count(*) FROM patient WHERE length(id) = 16"
                                    " AND substr(hex(id), 13, 1) = '4'"),
                    100);
    CU_ASSERT_EQUAL(marked(&device, PATIENT), 100);
    sqlite3_close(device.db);
}

/* ---- Inserting --------------------------------------------------------------- */

/* Goal: a record made here has no base, not by its second edit either: the
 * server knows nothing of it (R5). Method: insert, edit, replace, edit. */
static void test_new_record_has_no_base(void)
{
    struct device device;

    device_init(&device);
    run(&device, "INSERT INTO patient(id, full_name) VALUES (" ANNA ", 'Anna')");
    CU_ASSERT_EQUAL(generation(&device, PATIENT, ANNA, ANNA), 1);
    run(&device, "UPDATE patient SET full_name = 'Anne'");
    CU_ASSERT_EQUAL(generation(&device, PATIENT, ANNA, ANNA), 2);
    run(&device, "REPLACE INTO patient(id, full_name) VALUES (" ANNA ", 'Anneke')");
    run(&device, "UPDATE patient SET full_name = 'Anna'");
    CU_ASSERT_EQUAL(marked(&device, 0), 1);
    CU_ASSERT_EQUAL(bases(&device, "patient"), 0);
    device_deinit(&device);
}

/* Goal: every row of one statement is marked. Method: many VALUES, INSERT ..
 * SELECT, with ids given and made, also twice the same key by OR REPLACE. */
static void test_insert_many(void)
{
    struct device device;

    device_with_patients(&device);
    run(&device, "INSERT INTO blood_pressure(patient_id, systolic_mmhg) VALUES (" ANNA ", 1),"
                 " (" ANNA ", 2), (" BERT ", 3)");
    CU_ASSERT_EQUAL(marked(&device, BLOOD_PRESSURE), 3);
    run(&device, "INSERT INTO patient_phone(patient_id, number) SELECT id, 'x' FROM patient");
    CU_ASSERT_EQUAL(marked(&device, PATIENT_PHONE), 2);
    CU_ASSERT_EQUAL(number(&device, "SELECT count(*) FROM outpost_pending o JOIN patient_phone p"
                                    " ON o.family_id = p.patient_id AND o.id = p.id"),
                    2);
    run(&device, "INSERT OR REPLACE INTO facility(id, name) VALUES (" PHONE ", 'a'),"
                 " (" PHONE ", 'b')");
    CU_ASSERT_EQUAL(marked(&device, FACILITY), 1);
    CU_ASSERT_EQUAL(bases(&device, "facility"), 0);
    device_deinit(&device);
}

/* Goal: a global record is marked under the family of zeros. */
static void test_global_record_has_no_family(void)
{
    struct device device;

    device_with_patients(&device);
    run(&device, "UPDATE facility SET size = 'small'");
    CU_ASSERT_EQUAL(generation(&device, FACILITY, "x'00000000000000000000000000000000'", CLINIC),
                    1);
    CU_ASSERT_EQUAL(bases(&device, "facility"), 1);
    device_deinit(&device);
}

/* Goal: an insert that fails leaves no mark and no base. Method: a key that is
 * there, as the second row of a statement. */
static void test_failed_insert_marks_nothing(void)
{
    struct device device;

    device_with_patients(&device);
    CU_ASSERT_EQUAL(execute(&device, "INSERT INTO patient(id, full_name)"
                                     " VALUES (" PHONE ", 'New'), (" ANNA ", 'Anna')"),
                    SQLITE_CONSTRAINT);
    CU_ASSERT_EQUAL(marked(&device, 0), 0);
    CU_ASSERT_EQUAL(bases(&device, "patient"), 0);
    device_deinit(&device);
}

/* ---- Editing ----------------------------------------------------------------- */

/* Goal: the base is the row before the first edit, with stamp, version and
 * unknown fields, and no later edit touches it (R4). */
static void test_first_edit_copies_base(void)
{
    struct device device;

    device_with_patients(&device);
    run(&device, "UPDATE patient SET age_years = 41 WHERE id = " ANNA);
    CU_ASSERT_TRUE(base_is_as_synced(&device));
    run(&device, "UPDATE patient SET age_years = 42, outpost_version = 9 WHERE id = " ANNA);
    CU_ASSERT_TRUE(base_is_as_synced(&device));
    CU_ASSERT_EQUAL(generation(&device, PATIENT, ANNA, ANNA), 2);
    CU_ASSERT_EQUAL(marked(&device, 0), 1);
    CU_ASSERT_EQUAL(bases(&device, "patient"), 1);
    device_deinit(&device);
}

/* Goal: a base that outlived its mark (a rejected record, R9) stays. */
static void test_base_without_mark_stays(void)
{
    struct device device;

    device_with_patients(&device);
    run(&device, "UPDATE patient SET age_years = 41 WHERE id = " ANNA);
    run(&device, "DELETE FROM outpost_pending");
    run(&device, "UPDATE patient SET age_years = 42 WHERE id = " ANNA);
    CU_ASSERT_TRUE(base_is_as_synced(&device));
    CU_ASSERT_EQUAL(generation(&device, PATIENT, ANNA, ANNA), 1);
    device_deinit(&device);
}

/* Goal: every column is in the base. Method: in a record type with all kinds,
 * fill each column, sync, edit, and compare the base with a copy of the row. */
static void test_base_has_every_column(void)
{
    struct device device;

    device_init(&device);
    make_tables(&device, &test_v1_schema);
    run(&device, "INSERT INTO person VALUES (" ANNA ", 1, 2, 'm', 1, 5, 6, 'p', 8.5, 9.5, 1, 11.5,"
                 "  12.5, 's', '2020-01-01', x'0001', " BERT ", 70, 3, x'08');"
                 "DELETE FROM outpost_pending; CREATE TABLE copy AS SELECT * FROM person;"
                 "UPDATE person SET phone = 'q'");
    CU_ASSERT_EQUAL(number(&device, "SELECT count(*) FROM (SELECT * FROM outpost_base_person"
                                    "  INTERSECT SELECT * FROM copy)"),
                    1);
    device_deinit(&device);
}

/* Goal: an update that changes nothing marks, and the base equals the row, so
 * that sealing finds nothing. An update of no row marks nothing. */
static void test_update_without_change(void)
{
    struct device device;

    device_with_patients(&device);
    run(&device, "UPDATE patient SET age_years = age_years WHERE id = " ANNA);
    CU_ASSERT_EQUAL(generation(&device, PATIENT, ANNA, ANNA), 1);
    CU_ASSERT_EQUAL(number(&device, "SELECT count(*) FROM (SELECT * FROM outpost_base_patient"
                                    "  INTERSECT SELECT * FROM patient)"),
                    1);
    run(&device, "UPDATE patient SET age_years = 1 WHERE age_years > 200");
    CU_ASSERT_EQUAL(marked(&device, 0), 1);
    device_deinit(&device);
}

/* Goal: one statement that edits all rows marks each, with its own base. */
static void test_update_all_rows(void)
{
    struct device device;

    device_with_patients(&device);
    run(&device, "UPDATE blood_pressure SET systolic_mmhg = systolic_mmhg + 1");
    CU_ASSERT_EQUAL(marked(&device, BLOOD_PRESSURE), 3);
    CU_ASSERT_EQUAL(number(&device,
                           "SELECT count(*) FROM outpost_base_blood_pressure b"
                           " JOIN blood_pressure r ON r.patient_id = b.patient_id AND r.id = b.id"
                           " AND r.systolic_mmhg = b.systolic_mmhg + 1"),
                    3);
    device_deinit(&device);
}

/* Goal: whatever conflict clause an app's statement has, the edit is marked and
 * the base is kept. Method: each statement on a freshly synced row; recursive
 * triggers off and on. */
static void test_conflict_clauses_lose_no_edit(void)
{
    static const char *const statements[] = {
        "INSERT OR REPLACE INTO patient(id, full_name) VALUES (" ANNA ", 'New')",
        "REPLACE INTO patient(id, full_name) VALUES (" ANNA ", 'New')",
        "UPDATE OR REPLACE patient SET full_name = 'New' WHERE id = " ANNA,
        "UPDATE OR IGNORE patient SET full_name = 'New' WHERE id = " ANNA,
        "UPDATE OR FAIL patient SET full_name = 'New' WHERE id = " ANNA,
        "UPDATE OR ROLLBACK patient SET full_name = 'New' WHERE id = " ANNA,
        "INSERT INTO patient(id, full_name) VALUES (" ANNA ", 'New')"
        "  ON CONFLICT(id) DO UPDATE SET full_name = excluded.full_name",
        "INSERT INTO patient(id, full_name) VALUES (" ANNA ", 'New')"
        "  ON CONFLICT DO UPDATE SET full_name = excluded.full_name, id = excluded.id",
    };
    size_t upserts_from = sqlite3_libversion_number() >= 3035000 ? 8 : 6;

    for (size_t i = 0; i < upserts_from; i++) {
        for (int recursive = 0; recursive <= 1; recursive++) {
            struct device device;
            device_with_patients(&device);
            run(&device, recursive ? "PRAGMA recursive_triggers = ON" : "SELECT 1");
            run(&device, statements[i]);
            CU_ASSERT_EQUAL(
                number(&device, "SELECT full_name = 'New' FROM patient WHERE id = " ANNA), 1);
            CU_ASSERT_TRUE(base_is_as_synced(&device));
            CU_ASSERT_TRUE(generation(&device, PATIENT, ANNA, ANNA) >= 1);
            CU_ASSERT_EQUAL(marked(&device, 0), 1);
            run(&device, statements[i]);
            CU_ASSERT_TRUE(base_is_as_synced(&device));
            CU_ASSERT_EQUAL(marked(&device, 0), 1);
            device_deinit(&device);
        }
    }
}

/* Goal: an insert that is ignored because the row is there changes nothing but
 * the mark; the base then equals the row. */
static void test_ignored_insert(void)
{
    struct device device;

    device_with_patients(&device);
    run(&device, "INSERT OR IGNORE INTO patient(id, full_name) VALUES (" ANNA ", 'New')");
    CU_ASSERT_EQUAL(number(&device, "SELECT full_name = 'Anna' FROM patient WHERE id = " ANNA), 1);
    CU_ASSERT_TRUE(base_is_as_synced(&device));
    CU_ASSERT_EQUAL(marked(&device, 0), 1);
    device_deinit(&device);
}

/* Goal: edits by an app's own triggers are marked, whatever clause the statement
 * had that fired them (SQLite hands it down). */
static void test_edits_by_triggers_of_the_app(void)
{
    static const char *const statements[] = {
        "INSERT OR REPLACE INTO form VALUES (1, " ANNA ")",
        "INSERT OR IGNORE INTO form VALUES (2, " ANNA ")",
        "UPDATE OR REPLACE form SET id = 3",
    };

    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        struct device device;
        device_with_patients(&device);
        run(&device, "CREATE TABLE form(id INTEGER PRIMARY KEY, patient BLOB);"
                     "INSERT INTO form VALUES (1, " ANNA ");"
                     "CREATE TRIGGER filed AFTER INSERT ON form BEGIN"
                     "  UPDATE patient SET age_years = age_years + 1 WHERE id = NEW.patient;"
                     "  INSERT INTO patient_phone(patient_id, number) VALUES (NEW.patient, '1');"
                     "END;"
                     "CREATE TRIGGER moved AFTER UPDATE ON form BEGIN"
                     "  UPDATE patient SET age_years = age_years + 1 WHERE id = NEW.patient;"
                     "  INSERT INTO patient_phone(patient_id, number) VALUES (NEW.patient, '1');"
                     "END");
        run(&device, statements[i]);
        CU_ASSERT_TRUE(base_is_as_synced(&device));
        CU_ASSERT_EQUAL(marked(&device, PATIENT), 1);
        CU_ASSERT_EQUAL(marked(&device, PATIENT_PHONE), 1);
        device_deinit(&device);
    }
}

/* Goal: an app may add a column of its own to a record's table. */
static void test_column_of_the_app(void)
{
    struct device device;

    device_with_patients(&device);
    run(&device, "ALTER TABLE patient ADD COLUMN favourite INTEGER NOT NULL DEFAULT 0;"
                 "UPDATE patient SET favourite = 1, age_years = 41 WHERE id = " ANNA);
    CU_ASSERT_TRUE(base_is_as_synced(&device));
    device_deinit(&device);
}

/* ---- Deleting ---------------------------------------------------------------- */

/* Goal: a deleted record is marked and its base kept; made again under its id it
 * still has the server's base. Deleting no row marks nothing. */
static void test_delete_and_make_again(void)
{
    struct device device;

    device_with_patients(&device);
    run(&device, "DELETE FROM patient WHERE full_name = 'Nobody'");
    CU_ASSERT_EQUAL(marked(&device, 0), 0);
    run(&device, "DELETE FROM blood_pressure WHERE patient_id = " BERT);
    CU_ASSERT_EQUAL(generation(&device, BLOOD_PRESSURE, BERT, READING), 1);
    CU_ASSERT_EQUAL(number(&device, "SELECT systolic_mmhg FROM outpost_base_blood_pressure"), 140);
    run(&device, "INSERT INTO blood_pressure(patient_id, id, systolic_mmhg)"
                 " VALUES (" BERT ", " READING ", 150)");
    CU_ASSERT_EQUAL(generation(&device, BLOOD_PRESSURE, BERT, READING), 2);
    CU_ASSERT_EQUAL(number(&device, "SELECT systolic_mmhg FROM outpost_base_blood_pressure"), 140);
    device_deinit(&device);
}

/* A patient's children are gone, each marked and with its base; Bert's stay. */
static void assert_family_deleted(struct device *device)
{
    CU_ASSERT_EQUAL(number(device, "SELECT count(*) FROM blood_pressure"), 1);
    CU_ASSERT_EQUAL(number(device, "SELECT count(*) FROM patient_phone"), 0);
    CU_ASSERT_EQUAL(generation(device, PATIENT, ANNA, ANNA), 1);
    CU_ASSERT_EQUAL(generation(device, PATIENT_PHONE, ANNA, PHONE), 1);
    CU_ASSERT_EQUAL(generation(device, BLOOD_PRESSURE, ANNA, READING), 1);
    CU_ASSERT_EQUAL(generation(device, BLOOD_PRESSURE, ANNA, OTHER_READING), 1);
    CU_ASSERT_EQUAL(marked(device, 0), 4);
    CU_ASSERT_TRUE(base_is_as_synced(device));
    CU_ASSERT_EQUAL(bases(device, "blood_pressure"), 2);
    CU_ASSERT_EQUAL(bases(device, "patient_phone"), 1);
}

/* Goal: deleting a patient deletes its children, each as an edit of its own.
 * Method: with recursive triggers off and on, and by a trigger of the app that
 * an OR REPLACE fires: that clause must not be taken for a replaced patient. */
static void test_delete_takes_the_family(void)
{
    static const char *const statements[] = {
        "DELETE FROM patient WHERE id = " ANNA,
        "PRAGMA recursive_triggers = ON; DELETE FROM patient WHERE id = " ANNA,
        "CREATE TABLE gone(id BLOB PRIMARY KEY);"
        "INSERT INTO gone VALUES (" ANNA ");"
        "CREATE TRIGGER gone AFTER INSERT ON gone BEGIN"
        "  DELETE FROM patient WHERE id = NEW.id; END;"
        "PRAGMA recursive_triggers = ON;"
        "INSERT OR REPLACE INTO gone VALUES (" ANNA ")",
        "CREATE TABLE gone(id BLOB PRIMARY KEY);"
        "INSERT INTO gone VALUES (" ANNA ");"
        "CREATE TRIGGER gone AFTER DELETE ON gone BEGIN"
        "  DELETE FROM patient WHERE id = OLD.id; END;"
        "PRAGMA recursive_triggers = ON;"
        "REPLACE INTO gone VALUES (" ANNA ")",
    };

    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        struct device device;
        device_with_patients(&device);
        run(&device, statements[i]);
        assert_family_deleted(&device);
        device_deinit(&device);
    }
}

/* Goal: deleting all patients at once deletes all children. */
static void test_delete_all_patients(void)
{
    struct device device;

    device_with_patients(&device);
    run(&device, "DELETE FROM patient");
    CU_ASSERT_EQUAL(number(&device, "SELECT count(*) FROM blood_pressure"), 0);
    CU_ASSERT_EQUAL(marked(&device, 0), 6);
    device_deinit(&device);
}

/* Goal: a patient that is replaced does not lose its readings, although with
 * recursive triggers SQLite deletes the replaced row through the delete trigger.
 * Method: replace, once and as one of many, in every way, then delete for good:
 * nothing of the detection may stick. */
static void test_replaced_patient_keeps_its_family(void)
{
    static const char *const statements[] = {
        "INSERT OR REPLACE INTO patient(id, full_name) VALUES (" ANNA ", 'New')",
        "REPLACE INTO patient(id, full_name) SELECT id, 'New' FROM patient",
        "INSERT OR REPLACE INTO patient(id, full_name) VALUES (" ANNA ", 'x'), (" ANNA ", 'y')",
        "INSERT OR IGNORE INTO patient(id, full_name) VALUES (" ANNA ", 'New')",
    };

    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        struct device device;
        device_with_patients(&device);
        run(&device, "PRAGMA recursive_triggers = ON");
        run(&device, statements[i]);
        CU_ASSERT_EQUAL(number(&device, "SELECT count(*) FROM blood_pressure"), 3);
        CU_ASSERT_EQUAL(number(&device, "SELECT count(*) FROM patient_phone"), 1);
        CU_ASSERT_EQUAL(marked(&device, BLOOD_PRESSURE), 0);
        CU_ASSERT_TRUE(generation(&device, PATIENT, ANNA, ANNA) >= 1);
        CU_ASSERT_TRUE(base_is_as_synced(&device));
        sync_all(&device);
        run(&device, "UPDATE outpost_state SET applying = 1;"
                     "UPDATE patient SET full_name = 'Anna', age_years = 40, outpost_version = 1;"
                     "UPDATE outpost_state SET applying = 0");
        run(&device, "DELETE FROM patient WHERE id = " ANNA);
        assert_family_deleted(&device);
        device_deinit(&device);
    }
}

/* ---- Refusing ------------------------------------------------------------------ */

/* Goal: only ids that are no UUIDs are refused, with a message that helps, and
 * nothing of the statement stays. */
static void test_bad_ids_are_refused(void)
{
    static const char patient[] = "patient.id must be a BLOB of 16 bytes, or left out";
    static const char reading[] = "blood_pressure.id must be a BLOB of 16 bytes, or left out";
    static const char parent[] = "blood_pressure.patient_id must be a BLOB of 16 bytes";
    struct device device;

    device_with_patients(&device);
    refused(&device, "INSERT INTO patient(id) VALUES ('0123456789abcdef')", patient);
    refused(&device, "INSERT INTO patient(id) VALUES (x'00')", patient);
    refused(&device, "INSERT INTO patient(id) VALUES (zeroblob(17))", patient);
    refused(&device, "INSERT INTO patient(id) VALUES (5)", patient);
    refused(&device, "INSERT OR IGNORE INTO patient(id) VALUES (5)", patient);
    refused(&device, "INSERT OR REPLACE INTO patient(id) VALUES (5)", patient);
    refused(&device, "INSERT INTO patient(id) VALUES (" PHONE "), (x'00')", patient);
    refused(&device, "INSERT INTO blood_pressure(patient_id, id) VALUES (" ANNA ", 'x')", reading);
    refused(&device, "INSERT INTO blood_pressure(patient_id) VALUES ('Anna')", parent);
    CU_ASSERT_EQUAL(execute(&device, "INSERT INTO patient(id) VALUES (NULL)"), SQLITE_CONSTRAINT);
    CU_ASSERT_EQUAL(execute(&device, "INSERT INTO blood_pressure(systolic_mmhg) VALUES (1)"),
                    SQLITE_CONSTRAINT);
    CU_ASSERT_EQUAL(marked(&device, 0), 0);
    CU_ASSERT_EQUAL(number(&device, "SELECT count(*) FROM patient"), 2);
    device_deinit(&device);
}

/* Goal: a record's ids never change; setting them to what they are is fine. */
static void test_changed_ids_are_refused(void)
{
    struct device device;

    device_with_patients(&device);
    refused(&device, "UPDATE patient SET id = " PHONE " WHERE id = " ANNA,
            "patient.id never changes: delete the row and insert another");
    refused(&device, "UPDATE OR REPLACE patient SET id = " BERT " WHERE id = " ANNA,
            "patient.id never changes: delete the row and insert another");
    refused(&device, "UPDATE blood_pressure SET patient_id = " BERT " WHERE id = " OTHER_READING,
            "blood_pressure.patient_id never changes: delete the row and insert another");
    refused(&device, "UPDATE blood_pressure SET id = " PHONE " WHERE id = " OTHER_READING,
            "blood_pressure.id never changes: delete the row and insert another");
    CU_ASSERT_EQUAL(marked(&device, 0), 0);
    run(&device, "UPDATE blood_pressure SET patient_id = patient_id, id = id");
    CU_ASSERT_EQUAL(marked(&device, 0), 3);
    device_deinit(&device);
}

/* Goal: nothing else is refused: no value a nurse enters, no reading without its
 * patient (DESIGN.md 5: checks never stop a nurse). */
static void test_nothing_else_is_refused(void)
{
    struct device device;

    device_with_patients(&device);
    run(&device, "INSERT INTO patient(full_name, age_years) VALUES ('', -5)");
    run(&device,
        "INSERT INTO blood_pressure(patient_id, systolic_mmhg) VALUES (" PHONE ", 'high')");
    CU_ASSERT_EQUAL(marked(&device, 0), 2);
    device_deinit(&device);
}

/* ---- Applying ------------------------------------------------------------------ */

/* Goal: while the library applies what came from the server, no trigger does
 * anything: no mark, no base, no child deleted, no check. */
static void test_applying_marks_nothing(void)
{
    struct device device;

    device_with_patients(&device);
    run(&device, "UPDATE outpost_state SET applying = 1;"
                 "INSERT INTO patient(id, full_name) VALUES (" PHONE ", 'New');"
                 "REPLACE INTO patient(id, full_name) VALUES (" BERT ", 'New');"
                 "UPDATE patient SET age_years = 3;"
                 "DELETE FROM patient WHERE id = " ANNA);
    CU_ASSERT_EQUAL(marked(&device, 0), 0);
    CU_ASSERT_EQUAL(bases(&device, "patient"), 0);
    CU_ASSERT_EQUAL(number(&device, "SELECT count(*) FROM blood_pressure"), 3);
    device_deinit(&device);
}

/* ---- What an old phone runs ----------------------------------------------------- */

/* Goal: the stored SQL stays within what the oldest supported SQLite (3.9) runs,
 * although the one here is newer. Method: words that came later are absent. */
static void test_sql_is_of_sqlite_3_9(void)
{
    static const char *const later[] = {"STRICT", "RETURNING",  "ON CONFLICT", "OVER (",
                                        "FILTER", "unhex(",     "iif(",        "GENERATED",
                                        "CHECK",  "REFERENCES", "MATERIALIZED"};

    for (size_t i = 0; i < outpost_v1_schema.type_count; i++) {
        struct rpc_buffer sql;
        const char *text = sql_of(&outpost_v1_schema, i, &sql);
        for (size_t j = 0; j < sizeof later / sizeof later[0]; j++)
            CU_ASSERT_PTR_NULL(strstr(text, later[j]));
        rpc_buffer_deinit(&sql);
    }
}

/* Goal: a name that no statement holds is an error, and no statement cut short. */
static void test_name_that_is_too_long(void)
{
    static char name[2000];
    static const struct record_field field = {.number = 1, .name = name};
    static const struct record_type type = {.number = 10,
                                            .name = "Long",
                                            .table = "long",
                                            .family = RECORD_FAMILY_GLOBAL,
                                            .fields = &field,
                                            .field_count = 1};
    static const struct record_schema schema = {.revision = 1, .types = &type, .type_count = 1};
    struct rpc_buffer sql;

    memset(name, 'n', sizeof name - 1);
    rpc_buffer_init(&sql, RECORD_DEVICE_SQL_BYTES_MAX);
    record_device_sql(&schema, &type, &sql);
    CU_ASSERT_TRUE(sql.failed);
    rpc_buffer_deinit(&sql);
}

static int print_sql(void)
{
    puts(library_sql);
    for (size_t i = 0; i < outpost_v1_schema.type_count; i++) {
        struct rpc_buffer sql;
        rpc_buffer_init(&sql, RECORD_DEVICE_SQL_BYTES_MAX);
        record_device_sql(&outpost_v1_schema, &outpost_v1_schema.types[i], &sql);
        fputs((const char *)sql.data, stdout);
        rpc_buffer_deinit(&sql);
    }
    return ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_sql_may_run_again),
        SUITE_TEST(test_columns_default_to_zero),
        SUITE_TEST(test_made_ids_are_uuids),
        SUITE_TEST(test_made_ids_in_utf16),
        SUITE_TEST(test_new_record_has_no_base),
        SUITE_TEST(test_insert_many),
        SUITE_TEST(test_global_record_has_no_family),
        SUITE_TEST(test_failed_insert_marks_nothing),
        SUITE_TEST(test_first_edit_copies_base),
        SUITE_TEST(test_base_without_mark_stays),
        SUITE_TEST(test_base_has_every_column),
        SUITE_TEST(test_update_without_change),
        SUITE_TEST(test_update_all_rows),
        SUITE_TEST(test_conflict_clauses_lose_no_edit),
        SUITE_TEST(test_ignored_insert),
        SUITE_TEST(test_edits_by_triggers_of_the_app),
        SUITE_TEST(test_column_of_the_app),
        SUITE_TEST(test_delete_and_make_again),
        SUITE_TEST(test_delete_takes_the_family),
        SUITE_TEST(test_delete_all_patients),
        SUITE_TEST(test_replaced_patient_keeps_its_family),
        SUITE_TEST(test_bad_ids_are_refused),
        SUITE_TEST(test_changed_ids_are_refused),
        SUITE_TEST(test_nothing_else_is_refused),
        SUITE_TEST(test_applying_marks_nothing),
        SUITE_TEST(test_sql_is_of_sqlite_3_9),
        SUITE_TEST(test_name_that_is_too_long),
    };

    if (argc > 1 && strcmp(argv[1], "print") == 0)
        return print_sql();
    return suite_run("device_sql", tests, sizeof tests / sizeof tests[0]);
}
