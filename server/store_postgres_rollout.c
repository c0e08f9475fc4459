/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine's rollouts: read whole, changed by rollout.c, written whole.
 */
#include "store_postgres.h"

#include <string.h>

enum { STEP_LEN = 4 };

/* ---- Reading ------------------------------------------------------------- */

static void take_rollout(const PGresult *result, size_t row, struct rollouts *rollouts)
{
    struct rollout *rollout = &rollouts->list[rollouts->count++];
    struct rpc_bytes steps = postgres_bytes(result, row, 5);

    *rollout = (struct rollout){
        .revision = (uint32_t)postgres_u64(result, row, 0),
        .region = postgres_uuid(result, row, 1),
        .minimum = (uint32_t)postgres_u64(result, row, 2),
        .halt_above = (uint32_t)postgres_u64(result, row, 3),
        .halted = postgres_bool(result, row, 4),
        .version = postgres_u64(result, row, 6),
    };
    for (size_t at = 0; at + STEP_LEN <= steps.len && rollout->step_count < ROLLOUT_STEPS_MAX;
         at += STEP_LEN) {
        const uint8_t *step = steps.data + at;
        rollout->steps[rollout->step_count++] =
            (uint32_t)step[0] << 24 | (uint32_t)step[1] << 16 | (uint32_t)step[2] << 8 | step[3];
    }
}

#define ROLLOUT_ROWS                                                                      \
    "SELECT revision, scope_id, minimum, halt_above, halted, steps, version FROM rollout" \
    " ORDER BY revision, scope_id"

static enum postgres_code read_list(struct postgres_conn *conn, bool lock,
                                    struct rollouts *rollouts)
{
    size_t query = postgres_send(conn, lock ? ROLLOUT_ROWS " FOR UPDATE" : ROLLOUT_ROWS);
    enum postgres_code code = postgres_exchange(conn);

    rollouts->count = rollouts->switch_count = rollouts->named_count = 0;
    if (code != POSTGRES_OK)
        return code;
    const PGresult *result = postgres_result(conn, query);
    for (size_t row = 0; row < postgres_row_count(result) && row < ROLLOUTS_MAX; row++)
        take_rollout(result, row, rollouts);
    return POSTGRES_OK;
}

static size_t send_named(struct postgres_conn *conn, const struct record_uuid *device_id)
{
    if (device_id == NULL)
        return postgres_send(conn, "SELECT revision, device_id FROM rollout_device"
                                   " ORDER BY revision, device_id");
    postgres_query(conn, "SELECT revision, device_id FROM rollout_device WHERE device_id = $1");
    postgres_put_uuid(conn, device_id);
    return postgres_end_query(conn);
}

static enum postgres_code read_members(struct postgres_conn *conn,
                                       const struct record_uuid *device_id,
                                       struct rollouts *rollouts)
{
    size_t switches = postgres_send(conn, "SELECT revision, type, field FROM rollout_switch"
                                          " ORDER BY revision, type, field");
    size_t named = send_named(conn, device_id);
    enum postgres_code code = postgres_exchange(conn);

    if (code != POSTGRES_OK)
        return code;
    const PGresult *result = postgres_result(conn, switches);
    for (size_t row = 0; row < postgres_row_count(result) && row < ROLLOUT_SWITCHES_MAX; row++)
        rollouts->switches[rollouts->switch_count++] = (struct rollout_switch){
            (uint32_t)postgres_u64(result, row, 0), (uint32_t)postgres_u64(result, row, 1),
            (uint32_t)postgres_u64(result, row, 2)};
    result = postgres_result(conn, named);
    for (size_t row = 0; row < postgres_row_count(result) && row < ROLLOUT_NAMED_MAX; row++)
        rollouts->named[rollouts->named_count++] = (struct rollout_named){
            (uint32_t)postgres_u64(result, row, 0), postgres_uuid(result, row, 1)};
    return POSTGRES_OK;
}

enum postgres_code postgres_read_rollouts(struct postgres_conn *conn,
                                          const struct record_uuid *device_id,
                                          struct rollouts *rollouts_out)
{
    enum postgres_code code = read_list(conn, false, rollouts_out);

    return code == POSTGRES_OK && rollouts_out->count > 0
               ? read_members(conn, device_id, rollouts_out)
               : code;
}

enum postgres_code postgres_read_rollouts_version(struct postgres_conn *conn, uint64_t *version_out)
{
    size_t query = postgres_send(conn, "SELECT coalesce(sum(version), 0)::bigint FROM rollout");
    enum postgres_code code = postgres_exchange(conn);

    if (code == POSTGRES_OK)
        *version_out = postgres_u64(postgres_result(conn, query), 0, 0);
    return code;
}

/* ---- Writing --------------------------------------------------------------- */

static void send_rollout(struct postgres_conn *conn, const struct rollout *rollout, int64_t now_ms,
                         const char *account)
{
    uint8_t steps[ROLLOUT_STEPS_MAX * STEP_LEN];

    for (size_t i = 0; i < rollout->step_count; i++)
        postgres_big_endian(rollout->steps[i], STEP_LEN, steps + i * STEP_LEN);
    postgres_query(conn, "INSERT INTO rollout(revision, scope_id, minimum, halt_above, halted,"
                         " steps, version, changed_at_ms, changed_by) VALUES ($1, $2, $3, $4, $5,"
                         " $6, $7, $8, $9) ON CONFLICT (revision, scope_id) DO UPDATE SET"
                         " minimum = excluded.minimum, halt_above = excluded.halt_above,"
                         " halted = excluded.halted, steps = excluded.steps,"
                         " version = excluded.version, changed_at_ms = excluded.changed_at_ms,"
                         " changed_by = excluded.changed_by");
    postgres_put_u64(conn, rollout->revision);
    postgres_put_uuid(conn, &rollout->region);
    postgres_put_u64(conn, rollout->minimum);
    postgres_put_u64(conn, rollout->halt_above);
    postgres_put_bool(conn, rollout->halted);
    postgres_put_bytes(conn, steps, rollout->step_count * STEP_LEN);
    postgres_put_u64(conn, rollout->version);
    postgres_put_u64(conn, (uint64_t)now_ms);
    postgres_put_text(conn, account, strlen(account));
    postgres_end_query(conn);
}

static void send_switches(struct postgres_conn *conn, const struct rollouts *rollouts)
{
    for (size_t i = 0; i < rollouts->switch_count; i++) {
        postgres_query(conn, "INSERT INTO rollout_switch(revision, type, field)"
                             " VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
        postgres_put_u64(conn, rollouts->switches[i].revision);
        postgres_put_u64(conn, rollouts->switches[i].type);
        postgres_put_u64(conn, rollouts->switches[i].field);
        postgres_end_query(conn);
    }
}

static void send_all_named(struct postgres_conn *conn, const struct rollouts *rollouts)
{
    postgres_send(conn, "DELETE FROM rollout_device");
    for (size_t i = 0; i < rollouts->named_count; i++) {
        postgres_query(conn, "INSERT INTO rollout_device(revision, device_id) VALUES ($1, $2)");
        postgres_put_u64(conn, rollouts->named[i].revision);
        postgres_put_uuid(conn, &rollouts->named[i].device);
        postgres_end_query(conn);
    }
}

/* ---- Errors ------------------------------------------------------------------ */

static enum postgres_code count_cohorts(struct postgres_conn *conn, const struct rollouts *rollouts,
                                        struct rollout_cohorts *cohorts)
{
    size_t query = postgres_send(conn, "SELECT device_id, enrolment_region_id, syncs, failed_syncs,"
                                       " rejected_syncs FROM device WHERE syncs > 0");
    enum postgres_code code = postgres_exchange(conn);

    *cohorts = (struct rollout_cohorts){0};
    if (code != POSTGRES_OK)
        return code;
    const PGresult *result = postgres_result(conn, query);
    for (size_t row = 0; row < postgres_row_count(result); row++) {
        struct rollout_device device = {postgres_uuid(result, row, 0),
                                        postgres_uuid(result, row, 1)};
        struct rollout_syncs syncs = {postgres_u64(result, row, 2), postgres_u64(result, row, 3),
                                      postgres_u64(result, row, 4)};
        rollout_count(rollouts, &device, &syncs, cohorts);
    }
    return POSTGRES_OK;
}

/* Reads all rollouts, locked, with what their cohorts' errors have halted by now. */
static enum postgres_code read_judged(struct postgres_conn *conn, struct rollouts *rollouts,
                                      size_t *halted_out)
{
    struct rollout_cohorts cohorts;
    enum postgres_code code = read_list(conn, true, rollouts);

    *halted_out = 0;
    if (code != POSTGRES_OK || rollouts->count == 0)
        return code;
    code = read_members(conn, NULL, rollouts);
    if (code == POSTGRES_OK)
        code = count_cohorts(conn, rollouts, &cohorts);
    *halted_out = code == POSTGRES_OK ? rollout_judge(rollouts, &cohorts) : 0;
    return code;
}

enum postgres_code postgres_rollout_review(struct postgres_conn *conn,
                                           struct store_rollout_review *review)
{
    struct rollouts rollouts;
    enum postgres_code code = read_judged(conn, &rollouts, &review->halted_count);

    if (code != POSTGRES_OK || review->halted_count == 0)
        return code;
    for (size_t i = 0; i < rollouts.count; i++)
        send_rollout(conn, &rollouts.list[i], review->now_ms, "outpostd");
    return postgres_exchange(conn);
}

/* ---- Changes ----------------------------------------------------------------- */

static enum postgres_code read_targets(struct postgres_conn *conn, const struct scope_roles *roles,
                                       struct store_rollout_change *change)
{
    struct store_device device;
    enum postgres_code code = POSTGRES_OK;

    change->region_known = change->device_known = true;
    if (!record_uuid_is_zero(&change->change.region))
        code = postgres_region_known(conn, roles, &change->change.region, &change->region_known);
    if (code == POSTGRES_OK && !record_uuid_is_zero(&change->change.device))
        code = postgres_read_device(conn, &change->change.device, &device, &change->device_known);
    return code;
}

static enum postgres_code write_changed(struct postgres_conn *conn, const struct rollouts *rollouts,
                                        struct store_rollout_change *change)
{
    for (size_t i = 0; i < rollouts->count; i++) {
        const struct rollout *rollout = &rollouts->list[i];
        if (rollout->revision == change->change.revision &&
            record_uuid_compare(&rollout->region, &change->change.region) == 0)
            change->rollout = *rollout;
        send_rollout(conn, rollout, change->now_ms, change->account);
    }
    send_switches(conn, rollouts);
    send_all_named(conn, rollouts);
    if (change->outcome == ROLLOUT_CHANGED)
        postgres_send(conn, "UPDATE device SET syncs = 0, failed_syncs = 0, rejected_syncs = 0");
    return postgres_exchange(conn);
}

enum postgres_code postgres_rollout_change(struct postgres_conn *conn,
                                           const struct scope_roles *roles,
                                           struct store_rollout_change *change)
{
    struct rollouts rollouts;
    size_t halted;
    enum postgres_code code = read_targets(conn, roles, change);

    if (code != POSTGRES_OK || !change->region_known || !change->device_known)
        return code;
    code = read_judged(conn, &rollouts, &halted);
    if (code != POSTGRES_OK)
        return code;
    change->outcome = rollout_apply(&rollouts, &change->change);
    return write_changed(conn, &rollouts, change);
}

enum postgres_code postgres_sync_note(struct postgres_conn *conn,
                                      const struct store_sync_note *note)
{
    const struct store_sync *sync = &note->sync;

    postgres_query(conn, "UPDATE device SET last_seen_at_ms = $2, schema_revision = $3,"
                         " app_version = $4, syncs = syncs + 1, failed_syncs = failed_syncs + $5,"
                         " rejected_syncs = rejected_syncs + $6 WHERE device_id = $1");
    postgres_put_uuid(conn, &note->device_id);
    postgres_put_u64(conn, (uint64_t)note->now_ms);
    postgres_put_u64(conn, sync->schema_revision);
    postgres_put_text(conn, sync->app_version, strlen(sync->app_version));
    postgres_put_u64(conn, note->failed);
    postgres_put_u64(conn, !note->failed && sync->rejected);
    return postgres_change(conn);
}
