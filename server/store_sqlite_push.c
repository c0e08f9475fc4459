/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes what was decided over a push_set, inside the transaction that
 * store_sqlite_load.c read in. Of what every mutation writes a row of, all rows are one
 * statement.
 */
#include "sqlite_rows.h"
#include "store_sqlite.h"

static int write_purge(struct sqlite_conn *conn, const struct push_purge *purge)
{
    sqlite3_stmt *statement =
        sqlite_conn_statement(conn, "DELETE FROM record WHERE region_id = ?1 AND family_id = ?2");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &purge->region);
    sqlite_bind_uuid(statement, 2, &purge->family);
    return sqlite_conn_run(statement);
}

static const void *next_row(const void *row)
{
    return ((const struct push_row *)row)->hh.next;
}

static void give_row(sqlite3_context *context, const void *row_shown, int column)
{
    const struct push_row *row = row_shown;
    const struct push_record *record = row->record;

    switch (column) {
    case 0:
        return sqlite_give_uuid(context, &row->key.region);
    case 1:
        return sqlite_give_uuid(context, &record->key.family);
    case 2:
        return sqlite_give_u64(context, record->key.type);
    case 3:
        return sqlite_give_uuid(context, &record->key.id);
    case 4:
        return sqlite_give_u64(context, row->seq);
    case 5:
        return sqlite_give_u64(context, record->version);
    case 6:
        return sqlite_give_u64(context, record->deleted);
    case 7:
        return sqlite_give_u64(context, record->stamp);
    case 8:
        return sqlite_give_bytes(context, record->body.data, record->body.len);
    case 9:
        return sqlite_give_bytes(context, record->past.data, record->past.len);
    }
}

static int write_rows(struct sqlite_conn *conn, const struct push_set *set)
{
    struct sqlite_rows rows = {.row = set->rows, .next = next_row, .give = give_row};

    return sqlite_rows_run(
        conn,
        "INSERT OR FAIL INTO record(region_id, family_id, type, id, seq, version, deleted, stamp,"
        " body, past) SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 FROM sqlite_rows WHERE 1"
        " ON CONFLICT (region_id, family_id, type, id) DO UPDATE SET seq = excluded.seq,"
        " version = excluded.version, deleted = excluded.deleted, stamp = excluded.stamp,"
        " body = excluded.body, past = excluded.past",
        &rows);
}

static int write_marker(struct sqlite_conn *conn, const struct push_marker *marker)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "INSERT INTO marker(region_id, family_id, seq, kind) VALUES (?1, ?2, ?3, ?4)"
              " ON CONFLICT (region_id, family_id) DO UPDATE SET seq = excluded.seq,"
              " kind = excluded.kind");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &marker->key.region);
    sqlite_bind_uuid(statement, 2, &marker->key.family);
    sqlite_bind_u64(statement, 3, marker->seq);
    sqlite3_bind_int(statement, 4, marker->kind);
    return sqlite_conn_run(statement);
}

static const void *next_log(const void *log)
{
    return ((const struct push_log *)log)->next;
}

static void give_log(sqlite3_context *context, const void *row, int column)
{
    const struct push_log *log = row;
    const struct audit_entry *entry = &log->entry;

    switch (column) {
    case 0:
        return sqlite_give_uuid(context, &log->region);
    case 1:
        return sqlite_give_u64(context, entry->seq);
    case 2:
        return sqlite_give_u64(context, entry->kind);
    case 3:
        return sqlite_give_uuid(context, &entry->key.family);
    case 4:
        return sqlite_give_u64(context, entry->key.type);
    case 5:
        return sqlite_give_uuid(context, &entry->key.id);
    case 6:
        return sqlite_give_u64(context, entry->version);
    case 7:
        return sqlite_give_u64(context, entry->stamp);
    case 8:
        return sqlite_give_bytes(context, entry->mutation_id.bytes, RECORD_MUTATION_ID_LEN);
    case 9:
        return sqlite_give_uuid(context, &entry->device);
    case 10:
        return sqlite_give_u64(context, (uint64_t)entry->received_at_ms);
    case 11:
        return sqlite_give_bytes(context, log->hash, AUDIT_HASH_LEN);
    case 12:
        return sqlite_give_bytes(context, log->mutation.data, log->mutation.len);
    }
}

static int write_logs(struct sqlite_conn *conn, const struct push_set *set)
{
    struct sqlite_rows rows = {.row = set->logs, .next = next_log, .give = give_log};

    return sqlite_rows_run(
        conn,
        "INSERT OR FAIL INTO change_log(region_id, seq, kind, family_id, type, id, version, stamp,"
        " mutation_id, device_id, received_at_ms, hash, mutation)"
        " SELECT c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12 FROM sqlite_rows",
        &rows);
}

static const struct push_known *first_dirty(const struct push_known *known)
{
    while (known != NULL && !known->dirty)
        known = known->hh.next;
    return known;
}

static const void *next_known(const void *known)
{
    return first_dirty(((const struct push_known *)known)->hh.next);
}

static void give_known(sqlite3_context *context, const void *row, int column)
{
    const struct push_known *known = row;

    switch (column) {
    case 0:
        return sqlite_give_uuid(context, &known->key.region);
    case 1:
        return sqlite_give_bytes(context, known->key.id.bytes, RECORD_MUTATION_ID_LEN);
    case 2:
        return sqlite_give_u64(context, known->status);
    case 3:
        return sqlite_give_u64(context, known->reason);
    case 4:
        return sqlite_give_u64(context, known->field);
    case 5:
        return sqlite_give_uuid(context, &known->family);
    }
}

static int write_known(struct sqlite_conn *conn, const struct push_set *set)
{
    struct sqlite_rows rows = {
        .row = first_dirty(set->known), .next = next_known, .give = give_known};

    return sqlite_rows_run(
        conn,
        "INSERT OR FAIL INTO mutation(region_id, mutation_id, status, reason, field, family_id)"
        " SELECT c0, c1, c2, c3, c4, c5 FROM sqlite_rows WHERE 1"
        " ON CONFLICT (region_id, family_id, mutation_id) DO UPDATE SET"
        " status = excluded.status, reason = excluded.reason, field = excluded.field",
        &rows);
}

static int write_quarantine(struct sqlite_conn *conn, const struct push_quarantine *entry)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "INSERT INTO quarantine(region_id, mutation_id, device_id, received_at_ms, reason,"
              " field, mutation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &entry->known->key.region);
    sqlite_bind_bytes(statement, 2, entry->known->key.id.bytes, RECORD_MUTATION_ID_LEN);
    sqlite_bind_uuid(statement, 3, &entry->device);
    sqlite3_bind_int64(statement, 4, entry->received_at_ms);
    sqlite3_bind_int(statement, 5, entry->known->reason);
    sqlite3_bind_int64(statement, 6, entry->known->field);
    sqlite_bind_bytes(statement, 7, entry->mutation.data, entry->mutation.len);
    return sqlite_conn_run(statement);
}

static int write_conflict(struct sqlite_conn *conn, const struct push_conflict *conflict)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "INSERT INTO conflict(region_id, mutation_id, family_id, type, id, device_id,"
              " version, received_at_ms, clashes, mutation)"
              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
              /* The same edit by two devices may meet others' twice: the later
               * meeting is listed, and what lost at the first is in the log. */
              " ON CONFLICT (region_id, mutation_id) DO UPDATE SET device_id = excluded.device_id,"
              " version = excluded.version, received_at_ms = excluded.received_at_ms,"
              " clashes = excluded.clashes, resolved_at_ms = 0, resolved_by = ''");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &conflict->region);
    sqlite_bind_bytes(statement, 2, conflict->mutation_id.bytes, RECORD_MUTATION_ID_LEN);
    sqlite_bind_uuid(statement, 3, &conflict->key.family);
    sqlite3_bind_int64(statement, 4, conflict->key.type);
    sqlite_bind_uuid(statement, 5, &conflict->key.id);
    sqlite_bind_uuid(statement, 6, &conflict->device);
    sqlite_bind_u64(statement, 7, conflict->version);
    sqlite3_bind_int64(statement, 8, conflict->received_at_ms);
    sqlite_bind_bytes(statement, 9, conflict->clashes.data, conflict->clashes.len);
    sqlite_bind_bytes(statement, 10, conflict->mutation.data, conflict->mutation.len);
    return sqlite_conn_run(statement);
}

static int write_region(struct sqlite_conn *conn, const struct push_region *region)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "INSERT INTO sync_region(region_id, last_seq, last_hash, records, digest, type_sums)"
              " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (region_id) DO UPDATE SET"
              " last_seq = excluded.last_seq, last_hash = excluded.last_hash,"
              " records = excluded.records, digest = excluded.digest,"
              " type_sums = excluded.type_sums");
    uint8_t types[TYPE_SUMS_MAX * TYPE_SUM_LEN];

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &region->id);
    sqlite_bind_u64(statement, 2, region->last_seq);
    sqlite_bind_bytes(statement, 3, region->last_hash, AUDIT_HASH_LEN);
    sqlite_bind_u64(statement, 4, region->records);
    sqlite_bind_u64(statement, 5, region->digest);
    sqlite_bind_bytes(statement, 6, types, type_sums_encode(&region->types, types));
    return sqlite_conn_run(statement);
}

static int write_family(struct sqlite_conn *conn, const struct push_family *family)
{
    sqlite3_stmt *remove = sqlite_conn_statement(conn, "DELETE FROM family WHERE family_id = ?1");
    sqlite3_stmt *insert =
        sqlite_conn_statement(conn, "INSERT INTO family(family_id, region_id) VALUES (?1, ?2)");

    if (remove == NULL || insert == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(remove, 1, &family->id);
    int code = family->stored ? sqlite_conn_run(remove) : SQLITE_OK;
    for (size_t i = 0; i < family->regions.count && code == SQLITE_OK; i++) {
        sqlite_bind_uuid(insert, 1, &family->id);
        sqlite_bind_uuid(insert, 2, &family->regions.ids[i]);
        code = sqlite_conn_run(insert);
    }
    return code;
}

static int write_places(struct sqlite_conn *conn, const char *sql, const struct push_family *family,
                        const struct scope_regions *regions,
                        const struct scope_facilities *facilities)
{
    sqlite3_stmt *statement = sqlite_conn_statement(conn, sql);
    int code = SQLITE_OK;

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    for (size_t i = 0; i < regions->count; i++)
        for (size_t j = 0; j < facilities->count && code == SQLITE_OK; j++) {
            sqlite_bind_uuid(statement, 1, &regions->ids[i]);
            sqlite_bind_uuid(statement, 2, &facilities->ids[j]);
            sqlite_bind_uuid(statement, 3, &family->id);
            code = sqlite_conn_run(statement);
        }
    return code;
}

/* R21: which facilities list the family, in each of its regions. */
static int write_facilities(struct sqlite_conn *conn, const struct push_family *family)
{
    const struct scope_regions *were_in = &family->stored_regions;
    const struct scope_facilities *named = &family->stored_facilities;

    if (memcmp(were_in, &family->regions, sizeof *were_in) == 0 &&
        memcmp(named, &family->facilities, sizeof *named) == 0)
        return SQLITE_OK;
    int code = write_places(conn,
                            "DELETE FROM facility_family WHERE region_id = ?1"
                            " AND facility_id = ?2 AND family_id = ?3",
                            family, were_in, named);
    if (code != SQLITE_OK)
        return code;
    return write_places(conn,
                        "INSERT OR IGNORE INTO facility_family(region_id, facility_id, family_id)"
                        " VALUES (?1, ?2, ?3)",
                        family, &family->regions, &family->facilities);
}

/* R8: the newest receipt in front, the last 64 kept. */
static int write_receipts(struct sqlite_conn *conn, const struct push_receipts *receipts)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "INSERT INTO receipt(region_id, device_id, receipts) VALUES (?1, ?2, ?3)"
              " ON CONFLICT (region_id, device_id) DO UPDATE SET"
              " receipts = substr(CAST(excluded.receipts || receipts AS BLOB), 1, ?4)");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &receipts->key.region);
    sqlite_bind_uuid(statement, 2, &receipts->key.device);
    sqlite_bind_bytes(statement, 3, receipts->made, receipts->made_count * AUDIT_HASH_LEN);
    sqlite3_bind_int(statement, 4, PUSH_RECEIPTS_MAX * AUDIT_HASH_LEN);
    return sqlite_conn_run(statement);
}

int sqlite_push_write(struct sqlite_conn *conn, struct push_set *set)
{
    int code = SQLITE_OK;

    for (struct push_family *f = set->families; f != NULL && code == SQLITE_OK; f = f->hh.next)
        if (f->dirty)
            code = write_family(conn, f);
    for (struct push_family *f = set->families; f != NULL && code == SQLITE_OK; f = f->hh.next)
        if (f->placed)
            code = write_facilities(conn, f);
    for (struct push_purge *p = set->purges; p != NULL && code == SQLITE_OK; p = p->next)
        code = write_purge(conn, p);
    if (code == SQLITE_OK)
        code = write_rows(conn, set);
    for (struct push_marker *m = set->markers; m != NULL && code == SQLITE_OK; m = m->hh.next)
        if (m->dirty)
            code = write_marker(conn, m);
    if (code == SQLITE_OK)
        code = write_logs(conn, set);
    if (code == SQLITE_OK)
        code = write_known(conn, set);
    for (struct push_quarantine *q = set->quarantines; q != NULL && code == SQLITE_OK; q = q->next)
        code = write_quarantine(conn, q);
    for (struct push_conflict *c = set->conflicts; c != NULL && code == SQLITE_OK; c = c->next)
        code = write_conflict(conn, c);
    for (struct push_receipts *r = set->receipts; r != NULL && code == SQLITE_OK; r = r->hh.next)
        if (r->made_count > 0)
            code = write_receipts(conn, r);
    for (struct push_region *r = set->regions; r != NULL && code == SQLITE_OK; r = r->hh.next)
        if (r->dirty)
            code = write_region(conn, r);
    return code;
}
