/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills a push_set with what is stored. The write transaction (BEGIN IMMEDIATE) is the
 * lock that R10 asks for: nothing is read before it.
 */
#include "store_sqlite.h"

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

static int load_known_of(struct sqlite_conn *conn, struct push_known *known,
                         const struct record_uuid *family)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT status, reason, field FROM mutation"
              " WHERE region_id = ?1 AND family_id = ?2 AND mutation_id = ?3");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &known->key.region);
    sqlite_bind_uuid(statement, 2, family);
    sqlite_bind_bytes(statement, 3, known->key.id.bytes, RECORD_MUTATION_ID_LEN);
    int code = sqlite3_step(statement);
    known->loaded = true;
    known->stored = known->present = code == SQLITE_ROW;
    if (known->present) {
        known->status = (enum push_status)sqlite3_column_int(statement, 0);
        known->reason = (enum push_reason)sqlite3_column_int(statement, 1);
        known->field = (uint32_t)sqlite3_column_int64(statement, 2);
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Whether a region has mutations without a family, as of a transaction. */
struct without_family {
    bool asked, any;
    struct record_uuid region;
};

static int ask_without_family(struct sqlite_conn *conn, struct without_family *without,
                              const struct record_uuid *region)
{
    sqlite3_stmt *statement;

    if (without->asked && record_uuid_compare(&without->region, region) == 0)
        return SQLITE_OK;
    statement = sqlite_conn_statement(
        conn, "SELECT 1 FROM mutation WHERE region_id = ?1 AND family_id = zeroblob(16) LIMIT 1");
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, region);
    int code = sqlite3_step(statement);
    *without = (struct without_family){true, code == SQLITE_ROW, *region};
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Where its family puts it, or where all were before they lay by family. */
static int load_known(struct sqlite_conn *conn, struct push_known *known,
                      struct without_family *without)
{
    static const struct record_uuid none = {{0}};
    int code = load_known_of(conn, known, &known->family);

    if (code != SQLITE_OK || known->present || record_uuid_is_zero(&known->family))
        return code;
    code = ask_without_family(conn, without, &known->key.region);
    return code == SQLITE_OK && without->any ? load_known_of(conn, known, &none) : code;
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

    record->stored = true;
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
    struct without_family without = {.asked = false};
    int code = SQLITE_OK;

    for (struct push_family *f = set->families; f != NULL && code == SQLITE_OK; f = f->hh.next)
        if (!f->loaded)
            code = load_family(conn, f);
    for (struct push_known *k = set->known; k != NULL && code == SQLITE_OK; k = k->hh.next)
        if (!k->loaded)
            code = load_known(conn, k, &without);
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
