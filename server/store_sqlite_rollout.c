/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite engine's rollouts: read whole, changed by rollout.c, written whole.
 */
#include "store_sqlite.h"

enum { STEP_LEN = 4 };

/* ---- Reading ------------------------------------------------------------- */

static void take_steps(struct rpc_bytes bytes, struct rollout *rollout)
{
    for (size_t at = 0; at + STEP_LEN <= bytes.len && rollout->step_count < ROLLOUT_STEPS_MAX;
         at += STEP_LEN) {
        const uint8_t *step = bytes.data + at;
        rollout->steps[rollout->step_count++] =
            (uint32_t)step[0] << 24 | (uint32_t)step[1] << 16 | (uint32_t)step[2] << 8 | step[3];
    }
}

static void add_rollout(struct rollouts *rollouts, sqlite3_stmt *row)
{
    struct rollout *rollout = &rollouts->list[rollouts->count++];

    *rollout = (struct rollout){
        .revision = (uint32_t)sqlite3_column_int64(row, 0),
        .region = sqlite_column_uuid(row, 1),
        .minimum = (uint32_t)sqlite3_column_int64(row, 2),
        .halt_above = (uint32_t)sqlite3_column_int64(row, 3),
        .halted = sqlite3_column_int(row, 4) != 0,
        .version = sqlite_column_u64(row, 6),
    };
    take_steps(sqlite_column_view(row, 5), rollout);
}

static int read_list(struct sqlite_conn *conn, struct rollouts *rollouts)
{
    sqlite3_stmt *rows =
        sqlite_conn_statement(conn, "SELECT revision, scope_id, minimum, halt_above, halted, steps,"
                                    " version FROM rollout ORDER BY revision, scope_id");
    int code;

    if (rows == NULL)
        return sqlite_conn_failure(conn);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW && rollouts->count < ROLLOUTS_MAX)
        add_rollout(rollouts, rows);
    sqlite3_reset(rows);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int read_switches(struct sqlite_conn *conn, struct rollouts *rollouts)
{
    sqlite3_stmt *rows =
        sqlite_conn_statement(conn, "SELECT revision, type, field FROM"
                                    " rollout_switch ORDER BY revision, type, field");
    int code;

    if (rows == NULL)
        return sqlite_conn_failure(conn);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW &&
           rollouts->switch_count < ROLLOUT_SWITCHES_MAX)
        rollouts->switches[rollouts->switch_count++] = (struct rollout_switch){
            (uint32_t)sqlite3_column_int64(rows, 0), (uint32_t)sqlite3_column_int64(rows, 1),
            (uint32_t)sqlite3_column_int64(rows, 2)};
    sqlite3_reset(rows);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int read_named(struct sqlite_conn *conn, const struct record_uuid *device_id,
                      struct rollouts *rollouts)
{
    static const struct record_uuid all = {{0}};
    sqlite3_stmt *rows = sqlite_conn_statement(
        conn, "SELECT revision, device_id FROM rollout_device"
              " WHERE device_id = ?1 OR ?1 = zeroblob(16) ORDER BY revision, device_id");
    int code;

    if (rows == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(rows, 1, device_id != NULL ? device_id : &all);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW && rollouts->named_count < ROLLOUT_NAMED_MAX)
        rollouts->named[rollouts->named_count++] = (struct rollout_named){
            (uint32_t)sqlite3_column_int64(rows, 0), sqlite_column_uuid(rows, 1)};
    sqlite3_reset(rows);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int sqlite_read_rollouts(struct sqlite_conn *conn, const struct record_uuid *device_id,
                         struct rollouts *rollouts_out)
{
    rollouts_out->count = rollouts_out->switch_count = rollouts_out->named_count = 0;
    int code = read_list(conn, rollouts_out);
    if (code != SQLITE_OK || rollouts_out->count == 0)
        return code;
    code = read_switches(conn, rollouts_out);
    return code == SQLITE_OK ? read_named(conn, device_id, rollouts_out) : code;
}

int sqlite_read_rollouts_version(struct sqlite_conn *conn, uint64_t *version_out)
{
    sqlite3_stmt *statement =
        sqlite_conn_statement(conn, "SELECT coalesce(sum(version), 0) FROM rollout");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *version_out = sqlite_column_u64(statement, 0);
    sqlite3_reset(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* ---- Writing --------------------------------------------------------------- */

static int write_rollout(struct sqlite_conn *conn, const struct rollout *rollout, int64_t now_ms,
                         const char *account)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "INSERT OR REPLACE INTO rollout(revision, scope_id, minimum, halt_above, halted,"
              " steps, version, changed_at_ms, changed_by)"
              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    uint8_t steps[ROLLOUT_STEPS_MAX * STEP_LEN];

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    for (size_t i = 0; i < rollout->step_count * STEP_LEN; i++)
        steps[i] = (uint8_t)(rollout->steps[i / STEP_LEN] >> (8 * (STEP_LEN - 1 - i % STEP_LEN)));
    sqlite3_bind_int64(statement, 1, rollout->revision);
    sqlite_bind_uuid(statement, 2, &rollout->region);
    sqlite3_bind_int64(statement, 3, rollout->minimum);
    sqlite3_bind_int64(statement, 4, rollout->halt_above);
    sqlite3_bind_int(statement, 5, rollout->halted);
    sqlite_bind_bytes(statement, 6, steps, rollout->step_count * STEP_LEN);
    sqlite_bind_u64(statement, 7, rollout->version);
    sqlite3_bind_int64(statement, 8, now_ms);
    sqlite3_bind_text(statement, 9, account, -1, SQLITE_STATIC);
    return sqlite_conn_run(statement);
}

static int write_switches(struct sqlite_conn *conn, const struct rollouts *rollouts)
{
    sqlite3_stmt *put = sqlite_conn_statement(
        conn, "INSERT OR IGNORE INTO rollout_switch(revision, type, field) VALUES (?1, ?2, ?3)");
    int code = SQLITE_OK;

    if (put == NULL)
        return sqlite_conn_failure(conn);
    for (size_t i = 0; i < rollouts->switch_count && code == SQLITE_OK; i++) {
        sqlite3_bind_int64(put, 1, rollouts->switches[i].revision);
        sqlite3_bind_int64(put, 2, rollouts->switches[i].type);
        sqlite3_bind_int64(put, 3, rollouts->switches[i].field);
        code = sqlite_conn_run(put);
    }
    return code;
}

static int write_named(struct sqlite_conn *conn, const struct rollouts *rollouts)
{
    sqlite3_stmt *put = sqlite_conn_statement(
        conn, "INSERT INTO rollout_device(revision, device_id) VALUES (?1, ?2)");
    int code = sqlite_conn_exec(conn, "DELETE FROM rollout_device");

    if (put == NULL)
        return sqlite_conn_failure(conn);
    for (size_t i = 0; i < rollouts->named_count && code == SQLITE_OK; i++) {
        sqlite3_bind_int64(put, 1, rollouts->named[i].revision);
        sqlite_bind_uuid(put, 2, &rollouts->named[i].device);
        code = sqlite_conn_run(put);
    }
    return code;
}

/* ---- Errors ------------------------------------------------------------------ */

static int count_cohorts(struct sqlite_conn *conn, const struct rollouts *rollouts,
                         struct rollout_cohorts *cohorts)
{
    sqlite3_stmt *rows =
        sqlite_conn_statement(conn, "SELECT device_id, enrolment_region_id, syncs, failed_syncs,"
                                    " rejected_syncs FROM device WHERE syncs > 0");
    int code;

    *cohorts = (struct rollout_cohorts){0};
    if (rows == NULL)
        return sqlite_conn_failure(conn);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        struct rollout_device device = {sqlite_column_uuid(rows, 0), sqlite_column_uuid(rows, 1)};
        struct rollout_syncs syncs = {sqlite_column_u64(rows, 2), sqlite_column_u64(rows, 3),
                                      sqlite_column_u64(rows, 4)};
        rollout_count(rollouts, &device, &syncs, cohorts);
    }
    sqlite3_reset(rows);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Reads all rollouts, with what their cohorts' errors have halted by now. */
static int read_judged(struct sqlite_conn *conn, struct rollouts *rollouts, size_t *halted_out)
{
    struct rollout_cohorts cohorts;
    int code = sqlite_read_rollouts(conn, NULL, rollouts);

    *halted_out = 0;
    if (code != SQLITE_OK || rollouts->count == 0)
        return code;
    code = count_cohorts(conn, rollouts, &cohorts);
    *halted_out = code == SQLITE_OK ? rollout_judge(rollouts, &cohorts) : 0;
    return code;
}

int sqlite_rollout_review(struct sqlite_conn *conn, struct store_rollout_review *review)
{
    struct rollouts rollouts;
    int code = read_judged(conn, &rollouts, &review->halted_count);

    for (size_t i = 0; i < rollouts.count && review->halted_count > 0 && code == SQLITE_OK; i++)
        code = write_rollout(conn, &rollouts.list[i], review->now_ms, "outpostd");
    return code;
}

/* ---- Changes ----------------------------------------------------------------- */

static int read_targets(struct sqlite_conn *conn, const struct scope_roles *roles,
                        struct store_rollout_change *change)
{
    struct store_device device;
    int code = SQLITE_OK;

    change->region_known = change->device_known = true;
    if (!record_uuid_is_zero(&change->change.region))
        code = sqlite_region_known(conn, roles, &change->change.region, &change->region_known);
    if (code == SQLITE_OK && !record_uuid_is_zero(&change->change.device))
        code = sqlite_read_device(conn, &change->change.device, &device, &change->device_known);
    return code;
}

int sqlite_rollout_change(struct sqlite_conn *conn, const struct scope_roles *roles,
                          struct store_rollout_change *change)
{
    struct rollouts rollouts;
    size_t halted;
    int code = read_targets(conn, roles, change);

    if (code != SQLITE_OK || !change->region_known || !change->device_known)
        return code;
    code = read_judged(conn, &rollouts, &halted);
    if (code != SQLITE_OK)
        return code;
    change->outcome = rollout_apply(&rollouts, &change->change);
    for (size_t i = 0; i < rollouts.count && code == SQLITE_OK; i++) {
        const struct rollout *rollout = &rollouts.list[i];
        if (rollout->revision == change->change.revision &&
            record_uuid_compare(&rollout->region, &change->change.region) == 0)
            change->rollout = *rollout;
        code = write_rollout(conn, rollout, change->now_ms, change->account);
    }
    if (code == SQLITE_OK)
        code = write_switches(conn, &rollouts);
    if (code == SQLITE_OK)
        code = write_named(conn, &rollouts);
    if (code == SQLITE_OK && change->outcome == ROLLOUT_CHANGED)
        code = sqlite_conn_exec(
            conn, "UPDATE device SET syncs = 0, failed_syncs = 0, rejected_syncs = 0");
    return code;
}

int sqlite_sync_note(struct sqlite_conn *conn, const struct store_sync_note *note)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "UPDATE device SET last_seen_at_ms = ?2, schema_revision = ?3, app_version = ?4,"
              " syncs = syncs + 1, failed_syncs = failed_syncs + ?5,"
              " rejected_syncs = rejected_syncs + ?6 WHERE device_id = ?1");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &note->device_id);
    sqlite3_bind_int64(statement, 2, note->now_ms);
    sqlite3_bind_int64(statement, 3, note->sync.schema_revision);
    sqlite3_bind_text(statement, 4, note->sync.app_version, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 5, note->failed);
    sqlite3_bind_int(statement, 6, !note->failed && note->sync.rejected);
    return sqlite_conn_run(statement);
}

/* ---- Migration ------------------------------------------------------------------ */

static int write_types(struct sqlite_conn *conn, const struct record_uuid *region,
                       const struct type_sums *types)
{
    sqlite3_stmt *statement =
        sqlite_conn_statement(conn, "UPDATE sync_region SET type_sums = ?2 WHERE region_id = ?1");
    uint8_t bytes[TYPE_SUMS_MAX * TYPE_SUM_LEN];

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, region);
    sqlite_bind_bytes(statement, 2, bytes, type_sums_encode(types, bytes));
    return sqlite_conn_run(statement);
}

int sqlite_count_types(struct sqlite_conn *conn)
{
    sqlite3_stmt *rows = sqlite_conn_statement(conn, "SELECT region_id, type, id, stamp FROM record"
                                                     " WHERE deleted = 0 ORDER BY region_id");
    struct record_uuid region = {{0}};
    struct type_sums types = {0};
    int code, written = SQLITE_OK;

    if (rows == NULL)
        return sqlite_conn_failure(conn);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW && written == SQLITE_OK) {
        struct record_uuid of = sqlite_column_uuid(rows, 0), id = sqlite_column_uuid(rows, 2);
        uint32_t type = (uint32_t)sqlite3_column_int64(rows, 1);
        if (record_uuid_compare(&of, &region) != 0) {
            written = write_types(conn, &region, &types);
            region = of;
            types.count = 0;
        }
        type_sums_put_in(&types, type, record_digest_share(type, &id, sqlite_column_u64(rows, 3)));
    }
    sqlite3_reset(rows);
    if (written == SQLITE_OK && code == SQLITE_DONE)
        return write_types(conn, &region, &types);
    return written != SQLITE_OK ? written : code;
}
