/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite engine's side of a push: fills a push_set with what is stored, and
 * writes what was decided. The write transaction (BEGIN IMMEDIATE) is the lock
 * that R10 asks for: nothing is read before it.
 */
#include "store_sqlite.h"

/* ---- Loading ------------------------------------------------------------ */

static int load_family(struct sqlite_conn *conn, struct push_family *family)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT region_id FROM family WHERE family_id = ?1 ORDER BY region_id LIMIT ?2");
    int code;

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &family->id);
    sqlite3_bind_int(statement, 2, SCOPE_FAMILY_REGIONS_MAX);
    family->loaded = true;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct record_uuid region = sqlite_column_uuid(statement, 0);
        scope_regions_add(&family->regions, &region);
        family->stored = true;
    }
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int load_known(struct sqlite_conn *conn, struct push_known *known)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn,
        "SELECT status, reason, field FROM mutation WHERE region_id = ?1 AND mutation_id = ?2");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &known->key.region);
    sqlite_bind_bytes(statement, 2, known->key.id.bytes, RECORD_MUTATION_ID_LEN);
    int code = sqlite3_step(statement);
    known->loaded = true;
    known->present = code == SQLITE_ROW;
    if (known->present) {
        known->status = (enum push_status)sqlite3_column_int(statement, 0);
        known->reason = (enum push_reason)sqlite3_column_int(statement, 1);
        known->field = (uint32_t)sqlite3_column_int64(statement, 2);
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int load_region(struct sqlite_conn *conn, struct push_region *region)
{
    struct store_head head;
    int code = sqlite_read_head_and_types(conn, &region->id, &head, &region->types);

    if (code != SQLITE_OK)
        return code;
    region->loaded = true;
    region->last_seq = head.last.seq;
    memcpy(region->last_hash, head.last.hash, AUDIT_HASH_LEN);
    region->records = head.records;
    region->digest = head.digest;
    return SQLITE_OK;
}

static int load_marker(struct sqlite_conn *conn, struct push_marker *marker)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT kind, seq FROM marker WHERE region_id = ?1 AND family_id = ?2");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &marker->key.region);
    sqlite_bind_uuid(statement, 2, &marker->key.family);
    int code = sqlite3_step(statement);
    marker->loaded = true;
    if (code == SQLITE_ROW) {
        marker->kind = (enum push_marker_kind)sqlite3_column_int(statement, 0);
        marker->seq = sqlite_column_u64(statement, 1);
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int load_receipts(struct sqlite_conn *conn, struct push_receipts *receipts)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn,
        "SELECT substr(receipts, 1, 16) FROM receipt WHERE region_id = ?1 AND device_id = ?2");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &receipts->key.region);
    sqlite_bind_uuid(statement, 2, &receipts->key.device);
    int code = sqlite3_step(statement);
    receipts->loaded = true;
    if (code == SQLITE_ROW)
        sqlite_column_copy(statement, 0, receipts->last, AUDIT_HASH_LEN);
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Takes version, deleted, stamp, body and past from columns 0 to 4. */
static int record_from_row(struct push_set *set, sqlite3_stmt *statement,
                           struct push_record *record)
{
    struct rpc_bytes body = sqlite_column_view(statement, 3);
    struct rpc_bytes past = sqlite_column_view(statement, 4);

    record->version = sqlite_column_u64(statement, 0);
    record->deleted = sqlite3_column_int(statement, 1) != 0;
    record->stamp = sqlite_column_u64(statement, 2);
    record->body = arena_dup(&set->arena, body);
    record->past = arena_dup(&set->arena, past);
    return record->body.len == body.len && record->past.len == past.len ? SQLITE_ROW : SQLITE_NOMEM;
}

static int load_record(struct sqlite_conn *conn, struct push_set *set, struct push_record *record)
{
    struct record_uuid region = scope_global_region;

    record->loaded = true;
    if (!record_uuid_is_zero(&record->key.family)) {
        bool added = false;
        const struct push_family *family = push_set_family(set, &record->key.family, &added);
        if (family == NULL)
            return SQLITE_NOMEM;
        if (family->regions.count == 0)
            return SQLITE_OK;
        region = family->regions.ids[0]; /* each of its regions holds the same */
    }
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT version, deleted, stamp, body, past FROM record"
              " WHERE region_id = ?1 AND family_id = ?2 AND type = ?3 AND id = ?4");
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &region);
    sqlite_bind_uuid(statement, 2, &record->key.family);
    sqlite3_bind_int64(statement, 3, record->key.type);
    sqlite_bind_uuid(statement, 4, &record->key.id);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        code = record_from_row(set, statement, record);
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* All records of a family that may move; what the set has already may have
 * been changed in this transaction and stays as it is. */
static int load_whole(struct sqlite_conn *conn, struct push_set *set, struct push_family *family)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT version, deleted, stamp, body, past, type, id FROM record"
              " WHERE region_id = ?1 AND family_id = ?2");
    int code;

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &family->regions.ids[0]);
    sqlite_bind_uuid(statement, 2, &family->id);
    family->whole_loaded = true;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct record_key key = {family->id, (uint32_t)sqlite3_column_int64(statement, 5),
                                 sqlite_column_uuid(statement, 6)};
        bool added = false;
        struct push_record *record = push_set_record(set, &key, &added);
        if (record == NULL ||
            (!record->loaded && record_from_row(set, statement, record) != SQLITE_ROW)) {
            code = SQLITE_NOMEM;
            break;
        }
        record->loaded = true;
    }
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Loads every entry that was added and not looked for yet; families first,
 * because they tell where records are. */
static int load_added(struct sqlite_conn *conn, struct push_set *set)
{
    int code = SQLITE_OK;

    for (struct push_family *f = set->families; f != NULL && code == SQLITE_OK; f = f->hh.next)
        if (!f->loaded)
            code = load_family(conn, f);
    for (struct push_known *k = set->known; k != NULL && code == SQLITE_OK; k = k->hh.next)
        if (!k->loaded)
            code = load_known(conn, k);
    for (struct push_receipts *r = set->receipts; r != NULL && code == SQLITE_OK; r = r->hh.next)
        if (!r->loaded)
            code = load_receipts(conn, r);
    for (struct push_marker *m = set->markers; m != NULL && code == SQLITE_OK; m = m->hh.next)
        if (!m->loaded)
            code = load_marker(conn, m);
    for (struct push_family *f = set->families; f != NULL && code == SQLITE_OK; f = f->hh.next)
        if (f->whole && !f->whole_loaded)
            code = load_whole(conn, set, f);
    for (struct push_record *r = set->records; r != NULL && code == SQLITE_OK; r = r->hh.next)
        if (!r->loaded)
            code = load_record(conn, set, r);
    for (struct push_region *r = set->regions; r != NULL && code == SQLITE_OK; r = r->hh.next)
        if (!r->loaded)
            code = load_region(conn, r);
    return code;
}

int sqlite_push_load(struct sqlite_conn *conn, struct push_set *set, const struct push_batch *batch)
{
    bool added = true;

    if (!push_needs(set, batch))
        return SQLITE_NOMEM;
    while (added) {
        int code = load_added(conn, set);
        if (code != SQLITE_OK)
            return code;
        if (!push_needs_more(set, batch, &added))
            return SQLITE_NOMEM;
    }
    return SQLITE_OK;
}

/* ---- Writing ------------------------------------------------------------ */

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

static int write_row(struct sqlite_conn *conn, const struct push_row *row)
{
    const struct push_record *record = row->record;
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn,
        "INSERT INTO record(region_id, family_id, type, id, seq, version, deleted, stamp, body,"
        " past) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        " ON CONFLICT (region_id, family_id, type, id) DO UPDATE SET seq = excluded.seq,"
        " version = excluded.version, deleted = excluded.deleted, stamp = excluded.stamp,"
        " body = excluded.body, past = excluded.past");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &row->key.region);
    sqlite_bind_uuid(statement, 2, &record->key.family);
    sqlite3_bind_int64(statement, 3, record->key.type);
    sqlite_bind_uuid(statement, 4, &record->key.id);
    sqlite_bind_u64(statement, 5, row->seq);
    sqlite_bind_u64(statement, 6, record->version);
    sqlite3_bind_int(statement, 7, record->deleted);
    sqlite_bind_u64(statement, 8, record->stamp);
    sqlite_bind_bytes(statement, 9, record->body.data, record->body.len);
    sqlite_bind_bytes(statement, 10, record->past.data, record->past.len);
    return sqlite_conn_run(statement);
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

static int write_log(struct sqlite_conn *conn, const struct push_log *log)
{
    const struct audit_entry *entry = &log->entry;
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "INSERT INTO change_log(region_id, seq, kind, family_id, type, id, version, stamp,"
              " mutation_id, device_id, received_at_ms, hash, mutation)"
              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &log->region);
    sqlite_bind_u64(statement, 2, entry->seq);
    sqlite3_bind_int(statement, 3, entry->kind);
    sqlite_bind_uuid(statement, 4, &entry->key.family);
    sqlite3_bind_int64(statement, 5, entry->key.type);
    sqlite_bind_uuid(statement, 6, &entry->key.id);
    sqlite_bind_u64(statement, 7, entry->version);
    sqlite_bind_u64(statement, 8, entry->stamp);
    sqlite_bind_bytes(statement, 9, entry->mutation_id.bytes, RECORD_MUTATION_ID_LEN);
    sqlite_bind_uuid(statement, 10, &entry->device);
    sqlite3_bind_int64(statement, 11, entry->received_at_ms);
    sqlite_bind_bytes(statement, 12, log->hash, AUDIT_HASH_LEN);
    sqlite_bind_bytes(statement, 13, log->mutation.data, log->mutation.len);
    return sqlite_conn_run(statement);
}

static int write_known(struct sqlite_conn *conn, const struct push_known *known)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "INSERT INTO mutation(region_id, mutation_id, status, reason, field)"
              " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (region_id, mutation_id) DO UPDATE SET"
              " status = excluded.status, reason = excluded.reason, field = excluded.field");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &known->key.region);
    sqlite_bind_bytes(statement, 2, known->key.id.bytes, RECORD_MUTATION_ID_LEN);
    sqlite3_bind_int(statement, 3, known->status);
    sqlite3_bind_int(statement, 4, known->reason);
    sqlite3_bind_int64(statement, 5, known->field);
    return sqlite_conn_run(statement);
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
    sqlite_bind_bytes(statement, 3, receipts->last, AUDIT_HASH_LEN);
    sqlite3_bind_int(statement, 4, STORE_RECEIPTS_MAX * AUDIT_HASH_LEN);
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
    for (struct push_row *row = set->rows; row != NULL && code == SQLITE_OK; row = row->hh.next)
        code = write_row(conn, row);
    for (struct push_marker *m = set->markers; m != NULL && code == SQLITE_OK; m = m->hh.next)
        if (m->dirty)
            code = write_marker(conn, m);
    for (struct push_log *log = set->logs; log != NULL && code == SQLITE_OK; log = log->next)
        code = write_log(conn, log);
    for (struct push_known *k = set->known; k != NULL && code == SQLITE_OK; k = k->hh.next)
        if (k->dirty)
            code = write_known(conn, k);
    for (struct push_quarantine *q = set->quarantines; q != NULL && code == SQLITE_OK; q = q->next)
        code = write_quarantine(conn, q);
    for (struct push_conflict *c = set->conflicts; c != NULL && code == SQLITE_OK; c = c->next)
        code = write_conflict(conn, c);
    for (struct push_receipts *r = set->receipts; r != NULL && code == SQLITE_OK; r = r->hh.next)
        if (r->dirty)
            code = write_receipts(conn, r);
    for (struct push_region *r = set->regions; r != NULL && code == SQLITE_OK; r = r->hh.next)
        if (r->dirty)
            code = write_region(conn, r);
    return code;
}
