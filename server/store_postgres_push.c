/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine's side of a push, its second half: decides under the locks and
 * writes, a statement for each region and table with the rows as arrays.
 */
#include "store_postgres.h"

/* ---- Rows as columns ------------------------------------------------------------ */

enum { COLUMNS_MAX = 13 };

struct columns {
    size_t count;
    struct postgres_array list[COLUMNS_MAX];
};

static void columns_init(struct columns *columns, const enum postgres_type *types, size_t count)
{
    columns->count = count;
    for (size_t i = 0; i < count; i++)
        postgres_array_init(&columns->list[i], types[i]);
}

/* Sends the statement with the region and the columns as its parameters; nothing when
 * there are no rows. */
static void columns_send(struct columns *columns, struct postgres_conn *conn, const char *sql,
                         const struct record_uuid *region)
{
    if (columns->list[0].count > 0) {
        postgres_query(conn, sql);
        postgres_put_uuid(conn, region);
        for (size_t i = 0; i < columns->count; i++)
            postgres_put_array(conn, &columns->list[i]);
        postgres_end_query(conn);
    }
    for (size_t i = 0; i < columns->count; i++)
        postgres_array_deinit(&columns->list[i]);
}

static bool same(const struct record_uuid *a, const struct record_uuid *b)
{
    return record_uuid_compare(a, b) == 0;
}

/* Rows that are new are inserted, the others in a second statement that replaces those
 * there are: with ON CONFLICT each row costs a third more. What a row was thought to be
 * may be wrong on a distributed PostgreSQL, whose halves are not all seen at once; then the next
 * try replaces (postgres_conn.collided). */
static bool replaces(const struct postgres_conn *conn, bool stored)
{
    return stored || conn->collided;
}

/* ---- One region's tables ----------------------------------------------------------- */

static void write_purges(struct postgres_conn *conn, const struct push_set *set,
                         const struct record_uuid *region)
{
    static const enum postgres_type types[] = {POSTGRES_UUID};
    struct columns columns;

    columns_init(&columns, types, 1);
    for (const struct push_purge *p = set->purges; p != NULL; p = p->next)
        if (same(&p->region, region))
            postgres_array_add_uuid(&columns.list[0], &p->family);
    columns_send(&columns, conn,
                 "DELETE FROM record WHERE region_id = $1 AND family_id = ANY($2::uuid[])", region);
}

#define INSERT_RECORDS                                                                 \
    "INSERT INTO record(region_id, family_id, type, id, seq, version, deleted, stamp," \
    " body, past) SELECT s.region_id, u.* FROM sync_region s, unnest($2::uuid[],"      \
    " $3::integer[], $4::uuid[], $5::bigint[], $6::bigint[], $7::boolean[],"           \
    " $8::bigint[], $9::bytea[], $10::bytea[]) u WHERE s.region_id = $1"

static void write_rows(struct postgres_conn *conn, const struct push_set *set,
                       const struct record_uuid *region, bool replace)
{
    static const enum postgres_type types[] = {
        POSTGRES_UUID, POSTGRES_INT,    POSTGRES_UUID,  POSTGRES_BIGINT, POSTGRES_BIGINT,
        POSTGRES_BOOL, POSTGRES_BIGINT, POSTGRES_BYTEA, POSTGRES_BYTEA,
    };
    struct columns columns;

    columns_init(&columns, types, sizeof types / sizeof types[0]);
    for (const struct push_row *row = set->rows; row != NULL; row = row->hh.next) {
        const struct push_record *record = row->record;
        if (!same(&row->key.region, region) || replaces(conn, record->stored) != replace)
            continue;
        postgres_array_add_uuid(&columns.list[0], &record->key.family);
        postgres_array_add_int(&columns.list[1], (int32_t)record->key.type);
        postgres_array_add_uuid(&columns.list[2], &record->key.id);
        postgres_array_add_u64(&columns.list[3], row->seq);
        postgres_array_add_u64(&columns.list[4], record->version);
        postgres_array_add_bool(&columns.list[5], record->deleted);
        postgres_array_add_u64(&columns.list[6], record->stamp);
        postgres_array_add_bytes(&columns.list[7], record->body);
        postgres_array_add_bytes(&columns.list[8], record->past);
    }
    columns_send(&columns, conn,
                 replace ? INSERT_RECORDS
                     " ON CONFLICT (region_id, family_id, type, id) DO UPDATE SET"
                     " seq = excluded.seq, version = excluded.version, deleted = excluded.deleted,"
                     " stamp = excluded.stamp, body = excluded.body, past = excluded.past"
                         : INSERT_RECORDS,
                 region);
}

static void write_markers(struct postgres_conn *conn, const struct push_set *set,
                          const struct record_uuid *region)
{
    static const enum postgres_type types[] = {POSTGRES_UUID, POSTGRES_BIGINT, POSTGRES_INT};
    struct columns columns;

    columns_init(&columns, types, sizeof types / sizeof types[0]);
    for (const struct push_marker *m = set->markers; m != NULL; m = m->hh.next) {
        if (!m->dirty || !same(&m->key.region, region))
            continue;
        postgres_array_add_uuid(&columns.list[0], &m->key.family);
        postgres_array_add_u64(&columns.list[1], m->seq);
        postgres_array_add_int(&columns.list[2], m->kind);
    }
    columns_send(&columns, conn,
                 "INSERT INTO marker(region_id, family_id, seq, kind) SELECT s.region_id, u.*"
                 " FROM sync_region s, unnest($2::uuid[], $3::bigint[], $4::integer[]) u"
                 " WHERE s.region_id = $1 ON CONFLICT (region_id, family_id) DO UPDATE SET"
                 " seq = excluded.seq, kind = excluded.kind",
                 region);
}

static void write_log(struct postgres_conn *conn, const struct push_set *set,
                      const struct record_uuid *region)
{
    static const enum postgres_type types[] = {
        POSTGRES_BIGINT, POSTGRES_INT,    POSTGRES_UUID,   POSTGRES_INT,
        POSTGRES_UUID,   POSTGRES_BIGINT, POSTGRES_BIGINT, POSTGRES_UUID,
        POSTGRES_UUID,   POSTGRES_BIGINT, POSTGRES_BYTEA,  POSTGRES_BYTEA,
    };
    struct columns columns;

    columns_init(&columns, types, sizeof types / sizeof types[0]);
    for (const struct push_log *log = set->logs; log != NULL; log = log->next) {
        const struct audit_entry *entry = &log->entry;
        if (!same(&log->region, region))
            continue;
        postgres_array_add_u64(&columns.list[0], entry->seq);
        postgres_array_add_int(&columns.list[1], entry->kind);
        postgres_array_add_uuid(&columns.list[2], &entry->key.family);
        postgres_array_add_int(&columns.list[3], (int32_t)entry->key.type);
        postgres_array_add_uuid(&columns.list[4], &entry->key.id);
        postgres_array_add_u64(&columns.list[5], entry->version);
        postgres_array_add_u64(&columns.list[6], entry->stamp);
        postgres_array_add_id16(&columns.list[7], entry->mutation_id.bytes);
        postgres_array_add_uuid(&columns.list[8], &entry->device);
        postgres_array_add_u64(&columns.list[9], (uint64_t)entry->received_at_ms);
        postgres_array_add_bytes(&columns.list[10], rpc_bytes_view(log->hash, AUDIT_HASH_LEN));
        postgres_array_add_bytes(&columns.list[11], log->mutation);
    }
    columns_send(&columns, conn,
                 "INSERT INTO change_log(region_id, seq, kind, family_id, type, id, version, stamp,"
                 " mutation_id, device_id, received_at_ms, hash, mutation) SELECT s.region_id, u.*"
                 " FROM sync_region s, unnest($2::bigint[], $3::integer[], $4::uuid[],"
                 " $5::integer[], $6::uuid[], $7::bigint[], $8::bigint[], $9::uuid[], $10::uuid[],"
                 " $11::bigint[], $12::bytea[], $13::bytea[]) u WHERE s.region_id = $1",
                 region);
}

#define INSERT_MUTATIONS                                                             \
    "INSERT INTO mutation(region_id, mutation_id, status, reason, field, family_id)" \
    " SELECT s.region_id, u.* FROM sync_region s, unnest($2::uuid[], $3::integer[]," \
    " $4::integer[], $5::bigint[], $6::uuid[]) u WHERE s.region_id = $1"

static void write_known(struct postgres_conn *conn, const struct push_set *set,
                        const struct record_uuid *region, bool replace)
{
    static const enum postgres_type types[] = {POSTGRES_UUID, POSTGRES_INT, POSTGRES_INT,
                                               POSTGRES_BIGINT, POSTGRES_UUID};
    struct columns columns;

    columns_init(&columns, types, sizeof types / sizeof types[0]);
    for (const struct push_known *k = set->known; k != NULL; k = k->hh.next) {
        if (!k->dirty || !same(&k->key.region, region) || replaces(conn, k->stored) != replace)
            continue;
        postgres_array_add_id16(&columns.list[0], k->key.id.bytes);
        postgres_array_add_int(&columns.list[1], k->status);
        postgres_array_add_int(&columns.list[2], k->reason);
        postgres_array_add_u64(&columns.list[3], k->field);
        postgres_array_add_uuid(&columns.list[4], &k->family);
    }
    columns_send(&columns, conn,
                 replace ? INSERT_MUTATIONS
                     " ON CONFLICT (region_id, family_id, mutation_id) DO UPDATE SET"
                     " status = excluded.status, reason = excluded.reason, field = excluded.field"
                         : INSERT_MUTATIONS,
                 region);
}

static void write_quarantine(struct postgres_conn *conn, const struct push_set *set,
                             const struct record_uuid *region)
{
    static const enum postgres_type types[] = {POSTGRES_UUID, POSTGRES_UUID,   POSTGRES_BIGINT,
                                               POSTGRES_INT,  POSTGRES_BIGINT, POSTGRES_BYTEA};
    struct columns columns;

    columns_init(&columns, types, sizeof types / sizeof types[0]);
    for (const struct push_quarantine *q = set->quarantines; q != NULL; q = q->next) {
        if (!same(&q->known->key.region, region))
            continue;
        postgres_array_add_id16(&columns.list[0], q->known->key.id.bytes);
        postgres_array_add_uuid(&columns.list[1], &q->device);
        postgres_array_add_u64(&columns.list[2], (uint64_t)q->received_at_ms);
        postgres_array_add_int(&columns.list[3], q->known->reason);
        postgres_array_add_u64(&columns.list[4], q->known->field);
        postgres_array_add_bytes(&columns.list[5], q->mutation);
    }
    columns_send(&columns, conn,
                 "INSERT INTO quarantine(region_id, mutation_id, device_id, received_at_ms, reason,"
                 " field, mutation) SELECT s.region_id, u.* FROM sync_region s, unnest($2::uuid[],"
                 " $3::uuid[], $4::bigint[], $5::integer[], $6::bigint[], $7::bytea[]) u"
                 " WHERE s.region_id = $1",
                 region);
}

static void write_conflicts(struct postgres_conn *conn, const struct push_set *set,
                            const struct record_uuid *region)
{
    static const enum postgres_type types[] = {
        POSTGRES_UUID,   POSTGRES_UUID,   POSTGRES_INT,   POSTGRES_UUID,  POSTGRES_UUID,
        POSTGRES_BIGINT, POSTGRES_BIGINT, POSTGRES_BYTEA, POSTGRES_BYTEA,
    };
    struct columns columns;

    columns_init(&columns, types, sizeof types / sizeof types[0]);
    for (const struct push_conflict *c = set->conflicts; c != NULL; c = c->next) {
        if (!same(&c->region, region))
            continue;
        postgres_array_add_id16(&columns.list[0], c->mutation_id.bytes);
        postgres_array_add_uuid(&columns.list[1], &c->key.family);
        postgres_array_add_int(&columns.list[2], (int32_t)c->key.type);
        postgres_array_add_uuid(&columns.list[3], &c->key.id);
        postgres_array_add_uuid(&columns.list[4], &c->device);
        postgres_array_add_u64(&columns.list[5], c->version);
        postgres_array_add_u64(&columns.list[6], (uint64_t)c->received_at_ms);
        postgres_array_add_bytes(&columns.list[7], c->clashes);
        postgres_array_add_bytes(&columns.list[8], c->mutation);
    }
    /* The same edit by two devices may meet others' twice: the later meeting is
     * listed, and what lost at the first is in the log. */
    columns_send(&columns, conn,
                 "INSERT INTO conflict(region_id, mutation_id, family_id, type, id, device_id,"
                 " version, received_at_ms, clashes, mutation) SELECT s.region_id, u.*"
                 " FROM sync_region s, unnest($2::uuid[], $3::uuid[], $4::integer[], $5::uuid[],"
                 " $6::uuid[], $7::bigint[], $8::bigint[], $9::bytea[], $10::bytea[]) u"
                 " WHERE s.region_id = $1 ON CONFLICT (region_id, mutation_id) DO UPDATE SET"
                 " device_id = excluded.device_id, version = excluded.version,"
                 " received_at_ms = excluded.received_at_ms, clashes = excluded.clashes,"
                 " resolved_at_ms = 0, resolved_by = ''",
                 region);
}

/* R8: the newest receipt in front, the last 64 kept. */
static void write_receipts(struct postgres_conn *conn, const struct push_set *set,
                           const struct record_uuid *region)
{
    static const enum postgres_type types[] = {POSTGRES_UUID, POSTGRES_BYTEA};
    struct columns columns;

    columns_init(&columns, types, sizeof types / sizeof types[0]);
    for (const struct push_receipts *r = set->receipts; r != NULL; r = r->hh.next) {
        if (r->made_count == 0 || !same(&r->key.region, region))
            continue;
        postgres_array_add_uuid(&columns.list[0], &r->key.device);
        postgres_array_add_bytes(&columns.list[1],
                                 rpc_bytes_view(r->made[0], r->made_count * AUDIT_HASH_LEN));
    }
    _Static_assert(PUSH_RECEIPTS_MAX * AUDIT_HASH_LEN == 1024, "as the statement has it");
    columns_send(&columns, conn,
                 "INSERT INTO receipt(region_id, device_id, receipts) SELECT s.region_id, u.*"
                 " FROM sync_region s, unnest($2::uuid[], $3::bytea[]) u WHERE s.region_id = $1"
                 " ON CONFLICT (region_id, device_id) DO UPDATE SET"
                 " receipts = substr(excluded.receipts || receipt.receipts, 1, 1024)",
                 region);
}

static void write_region(struct postgres_conn *conn, const struct push_region *region)
{
    uint8_t types[TYPE_SUMS_MAX * TYPE_SUM_LEN];

    postgres_query(conn, "UPDATE sync_region SET last_seq = $2, last_hash = $3, records = $4,"
                         " digest = $5, type_sums = $6 WHERE region_id = $1");
    postgres_put_uuid(conn, &region->id);
    postgres_put_u64(conn, region->last_seq);
    postgres_put_bytes(conn, region->last_hash, AUDIT_HASH_LEN);
    postgres_put_u64(conn, region->records);
    postgres_put_u64(conn, region->digest);
    postgres_put_bytes(conn, types, type_sums_encode(&region->types, types));
    postgres_end_query(conn);
}

/* ---- The family directory --------------------------------------------------------- */

/* A family that was not there is inserted, and a second one of the same moment fails
 * by the primary key and is decided anew; see the schema. */
static void write_families(struct postgres_conn *conn, const struct push_set *set, bool stored)
{
    struct postgres_array ids, first, second;

    _Static_assert(SCOPE_FAMILY_REGIONS_MAX == 2, "as the statements have it");
    postgres_array_init(&ids, POSTGRES_UUID);
    postgres_array_init(&first, POSTGRES_UUID);
    postgres_array_init(&second, POSTGRES_UUID);
    for (const struct push_family *f = set->families; f != NULL; f = f->hh.next) {
        if (!f->dirty || f->stored != stored || f->regions.count == 0)
            continue;
        postgres_array_add_uuid(&ids, &f->id);
        postgres_array_add_uuid(&first, &f->regions.ids[0]);
        postgres_array_add_uuid(&second, &f->regions.ids[f->regions.count - 1]);
    }
    if (ids.count > 0) {
        postgres_query(conn, stored
                                 ? "INSERT INTO family(family_id, region_ids) SELECT u.id,"
                                   " CASE WHEN u.a = u.b THEN ARRAY[u.a] ELSE ARRAY[u.a, u.b] END"
                                   " FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) u(id, a, b)"
                                   " ON CONFLICT (family_id) DO UPDATE SET"
                                   " region_ids = excluded.region_ids"
                                 : "INSERT INTO family(family_id, region_ids) SELECT u.id,"
                                   " CASE WHEN u.a = u.b THEN ARRAY[u.a] ELSE ARRAY[u.a, u.b] END"
                                   " FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) u(id, a, b)");
        postgres_put_array(conn, &ids);
        postgres_put_array(conn, &first);
        postgres_put_array(conn, &second);
        postgres_end_query(conn);
    }
    postgres_array_deinit(&ids);
    postgres_array_deinit(&first);
    postgres_array_deinit(&second);
}

static int by_record(const struct push_row *a, const struct push_row *b)
{
    return record_key_compare(&a->record->key, &b->record->key);
}

static int by_family(const struct push_known *a, const struct push_known *b)
{
    int order = record_uuid_compare(&a->family, &b->family);

    return order != 0 ? order : memcmp(a->key.id.bytes, b->key.id.bytes, RECORD_MUTATION_ID_LEN);
}

/* ---- Which facilities list a family (R21) -------------------------------------------- */

static bool moved_facility(const struct push_family *f)
{
    return f->placed && (memcmp(&f->stored_regions, &f->regions, sizeof f->regions) != 0 ||
                         memcmp(&f->stored_facilities, &f->facilities, sizeof f->facilities) != 0);
}

/* Takes away the listings in the region that were stored, or puts those that are from
 * now on. What the two arrays take away beyond their pairs is of families that are put
 * again. */
static void write_places(struct postgres_conn *conn, const struct push_set *set,
                         const struct record_uuid *region, bool stored)
{
    static const enum postgres_type types[] = {POSTGRES_UUID, POSTGRES_UUID};
    struct columns columns;

    columns_init(&columns, types, sizeof types / sizeof types[0]);
    for (const struct push_family *f = set->families; f != NULL; f = f->hh.next) {
        const struct scope_regions *regions = stored ? &f->stored_regions : &f->regions;
        const struct scope_facilities *facilities = stored ? &f->stored_facilities : &f->facilities;
        if (!moved_facility(f) || !scope_regions_have(regions, region))
            continue;
        for (size_t i = 0; i < facilities->count; i++) {
            postgres_array_add_uuid(&columns.list[0], &facilities->ids[i]);
            postgres_array_add_uuid(&columns.list[1], &f->id);
        }
    }
    columns_send(&columns, conn,
                 stored ? "DELETE FROM facility_family WHERE region_id = $1"
                          " AND facility_id = ANY($2::uuid[]) AND family_id = ANY($3::uuid[])"
                        : "INSERT INTO facility_family(region_id, facility_id, family_id)"
                          " SELECT s.region_id, u.* FROM sync_region s, unnest($2::uuid[],"
                          " $3::uuid[]) u WHERE s.region_id = $1 ON CONFLICT DO NOTHING",
                 region);
}

void postgres_push_write(struct postgres_conn *conn, struct push_set *set)
{
    /* In the order of their keys: neighbours in a batch share an index page. */
    HASH_SORT(set->rows, by_record);
    HASH_SORT(set->known, by_family);
    write_families(conn, set, true);
    write_families(conn, set, false);
    for (const struct push_region *r = set->regions; r != NULL; r = r->hh.next) {
        if (r->dirty) {
            write_purges(conn, set, &r->id);
            write_places(conn, set, &r->id, true);
            write_places(conn, set, &r->id, false);
            write_rows(conn, set, &r->id, false);
            write_rows(conn, set, &r->id, true);
            write_markers(conn, set, &r->id);
            write_log(conn, set, &r->id);
            write_region(conn, r);
        }
        /* These also when nothing was accepted: a delete that lost is listed. */
        write_conflicts(conn, set, &r->id);
        write_known(conn, set, &r->id, false);
        write_known(conn, set, &r->id, true);
        write_quarantine(conn, set, &r->id);
        write_receipts(conn, set, &r->id);
    }
}

enum postgres_code postgres_push_commit(struct postgres_conn *conn)
{
    enum postgres_code code = postgres_exec(conn, "COMMIT");

    if (code == POSTGRES_OK)
        conn->collided = false;
    return code;
}

/* ---- A group ------------------------------------------------------------------------- */

static bool writes_globals(const struct push_batch *batch)
{
    for (size_t i = 0; i < batch->item_count; i++)
        if (batch->items[i].parsed && record_uuid_is_zero(&batch->items[i].mutation->key.family))
            return true;
    return false;
}

static bool guess_locks(struct postgres_locks *locks, struct push_batch *const *batches,
                        size_t count)
{
    bool good = true;

    for (size_t i = 0; i < count; i++) {
        const struct scope_device *device = &batches[i]->device;
        good = good && postgres_locks_add(locks, &device->enrolment_region) &&
               postgres_locks_add(locks, &device->region);
        if (writes_globals(batches[i]))
            good = good && postgres_locks_add(locks, &scope_global_region);
    }
    return good;
}

enum postgres_code postgres_push_decide(struct postgres_conn *conn, struct push_set *set,
                                        struct push_batch *const *batches, size_t count,
                                        struct postgres_locks *locks,
                                        struct store_refusal *refusals)
{
    enum postgres_code code = guess_locks(locks, batches, count) ? POSTGRES_OK : POSTGRES_AGAIN;

    if (code == POSTGRES_OK)
        code = postgres_push_begin(conn, set, batches, count, locks, refusals);
    for (size_t i = 0; i < count && code == POSTGRES_OK; i++) {
        if (refusals != NULL && refusals[i].why != STANDING_ADMITTED)
            continue;
        /* What the batches before it have decided may have brought more. */
        if (i > 0)
            code = postgres_push_more(conn, set, batches[i], locks);
        if (code == POSTGRES_OK && !push_decide(set, batches[i]))
            code = POSTGRES_NO_MEMORY;
    }
    return code;
}

enum postgres_code postgres_push(struct postgres_conn *conn, struct push_set *set,
                                 struct store_push *const *pushes, size_t count,
                                 struct postgres_locks *locks)
{
    struct push_batch *batches[POSTGRES_GROUP_MAX] = {NULL};
    struct store_refusal refusals[POSTGRES_GROUP_MAX];

    for (size_t i = 0; i < count; i++)
        batches[i] = pushes[i]->batch;
    enum postgres_code code = postgres_push_decide(conn, set, batches, count, locks, refusals);
    if (code != POSTGRES_OK)
        return code;
    for (size_t i = 0; i < count; i++)
        pushes[i]->refusal = refusals[i];
    postgres_push_write(conn, set);
    return postgres_push_commit(conn);
}
