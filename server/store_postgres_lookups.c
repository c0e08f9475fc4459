/* SPDX-License-Identifier: Apache-2.0
 *
 * See store_postgres_lookups.h.
 *
 * A statement touches one region and takes a whole batch as arrays: so it is one task
 * of one shard on a distributed PostgreSQL. OFFSET 0 makes the array the outer side:
 * left free, a planner that knows the table as small walks the region for each batch,
 * and keeps that plan while the region grows.
 */
#include "store_postgres_lookups.h"

static struct postgres_lookup *lookup_begin(struct postgres_lookups *lookups, size_t entries_max,
                                            void (*take)(struct push_set *set, void *entry,
                                                         const PGresult *result, size_t row,
                                                         bool *failed))
{
    if (lookups->count == sizeof lookups->list / sizeof lookups->list[0]) {
        lookups->failed = true;
        return NULL;
    }
    struct postgres_lookup *lookup = &lookups->list[lookups->count];
    *lookup = (struct postgres_lookup){
        .take = take,
        .entries = arena_alloc(&lookups->set->arena, (entries_max + 1) * sizeof(void *)),
    };
    lookups->failed = lookups->failed || lookup->entries == NULL;
    return lookup->entries != NULL ? lookup : NULL;
}

static void take_family(struct push_set *set, void *entry, const PGresult *result, size_t row,
                        bool *failed)
{
    struct push_family *family = entry;
    struct record_uuid region = postgres_uuid(result, row, 1);

    (void)set, (void)failed;
    family->stored = true;
    if (family->regions.count < SCOPE_FAMILY_REGIONS_MAX)
        scope_regions_add(&family->regions, &region);
}

static void look_up_families(struct postgres_lookups *lookups)
{
    struct push_set *set = lookups->set;
    struct postgres_lookup *lookup = lookup_begin(lookups, HASH_COUNT(set->families), take_family);
    struct postgres_array ids;

    if (lookup == NULL)
        return;
    postgres_array_init(&ids, POSTGRES_UUID);
    for (struct push_family *f = set->families; f != NULL; f = f->hh.next) {
        if (f->loaded)
            continue;
        f->loaded = true;
        lookup->entries[lookup->count++] = f;
        postgres_array_add_uuid(&ids, &f->id);
    }
    if (lookup->count > 0) {
        postgres_query(lookups->conn,
                       "SELECT u.o, r.id FROM unnest($1::uuid[]) WITH ORDINALITY u(id, o),"
                       " LATERAL (SELECT region_ids FROM family WHERE family_id = u.id OFFSET 0) f,"
                       " unnest(f.region_ids) r(id)");
        postgres_put_array(lookups->conn, &ids);
        lookup->query = postgres_end_query(lookups->conn);
        lookups->count++;
    }
    postgres_array_deinit(&ids);
}

static void take_known(struct push_set *set, void *entry, const PGresult *result, size_t row,
                       bool *failed)
{
    struct push_known *known = entry;

    (void)set, (void)failed;
    known->stored = known->present = true;
    known->status = (enum push_status)postgres_int(result, row, 1);
    known->reason = (enum push_reason)postgres_int(result, row, 2);
    known->field = (uint32_t)postgres_u64(result, row, 3);
}

static bool same(const struct record_uuid *a, const struct record_uuid *b)
{
    return record_uuid_compare(a, b) == 0;
}

static void look_up_known(struct postgres_lookups *lookups, const struct record_uuid *region)
{
    struct push_set *set = lookups->set;
    struct postgres_lookup *lookup = lookup_begin(lookups, HASH_COUNT(set->known), take_known);
    struct postgres_array ids, families;

    if (lookup == NULL)
        return;
    postgres_array_init(&ids, POSTGRES_UUID);
    postgres_array_init(&families, POSTGRES_UUID);
    for (struct push_known *k = set->known; k != NULL; k = k->hh.next) {
        if (k->loaded || !same(&k->key.region, region))
            continue;
        k->loaded = true;
        lookup->entries[lookup->count++] = k;
        postgres_array_add_id16(&ids, k->key.id.bytes);
        postgres_array_add_uuid(&families, &k->family);
    }
    if (lookup->count > 0) {
        /* Where the family puts it, or else where all were before they lay by family. OFFSET 0
         * keeps each a look into an index. */
        postgres_query(lookups->conn,
                       "SELECT u.o, m.* FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY"
                       " u(id, family, o), LATERAL (SELECT status, reason, field FROM mutation"
                       " WHERE region_id = $1 AND family_id = u.family AND mutation_id = u.id"
                       " OFFSET 0) m UNION ALL SELECT u.o, m.* FROM unnest($2::uuid[],"
                       " $3::uuid[]) WITH ORDINALITY u(id, family, o), LATERAL (SELECT status,"
                       " reason, field FROM mutation WHERE region_id = $1 AND family_id ="
                       " '00000000-0000-0000-0000-000000000000' AND mutation_id = u.id OFFSET 0) m"
                       " WHERE u.family <> '00000000-0000-0000-0000-000000000000' AND EXISTS"
                       " (SELECT 1 FROM mutation WHERE region_id = $1 AND family_id ="
                       " '00000000-0000-0000-0000-000000000000') AND NOT EXISTS"
                       " (SELECT 1 FROM mutation WHERE region_id = $1 AND family_id = u.family"
                       " AND mutation_id = u.id OFFSET 0)");
        postgres_put_uuid(lookups->conn, region);
        postgres_put_array(lookups->conn, &ids);
        postgres_put_array(lookups->conn, &families);
        lookup->query = postgres_end_query(lookups->conn);
        lookups->count++;
    }
    postgres_array_deinit(&families);
    postgres_array_deinit(&ids);
}

static void take_receipts(struct push_set *set, void *entry, const PGresult *result, size_t row,
                          bool *failed)
{
    struct push_receipts *receipts = entry;

    (void)set, (void)failed;
    postgres_copy(result, row, 1, receipts->last, AUDIT_HASH_LEN);
}

static void look_up_receipts(struct postgres_lookups *lookups, const struct record_uuid *region)
{
    struct push_set *set = lookups->set;
    struct postgres_lookup *lookup =
        lookup_begin(lookups, HASH_COUNT(set->receipts), take_receipts);
    struct postgres_array ids;

    if (lookup == NULL)
        return;
    postgres_array_init(&ids, POSTGRES_UUID);
    for (struct push_receipts *r = set->receipts; r != NULL; r = r->hh.next) {
        if (r->loaded || !same(&r->key.region, region))
            continue;
        r->loaded = true;
        lookup->entries[lookup->count++] = r;
        postgres_array_add_uuid(&ids, &r->key.device);
    }
    if (lookup->count > 0) {
        postgres_query(lookups->conn, "SELECT u.o, substr(r.receipts, 1, 16)"
                                      " FROM unnest($2::uuid[]) WITH ORDINALITY u(id, o),"
                                      " LATERAL (SELECT receipts FROM receipt"
                                      " WHERE region_id = $1 AND device_id = u.id OFFSET 0) r");
        postgres_put_uuid(lookups->conn, region);
        postgres_put_array(lookups->conn, &ids);
        lookup->query = postgres_end_query(lookups->conn);
        lookups->count++;
    }
    postgres_array_deinit(&ids);
}

static void take_marker(struct push_set *set, void *entry, const PGresult *result, size_t row,
                        bool *failed)
{
    struct push_marker *marker = entry;

    (void)set, (void)failed;
    marker->kind = (enum push_marker_kind)postgres_int(result, row, 1);
    marker->seq = postgres_u64(result, row, 2);
}

static void look_up_markers(struct postgres_lookups *lookups, const struct record_uuid *region)
{
    struct push_set *set = lookups->set;
    struct postgres_lookup *lookup = lookup_begin(lookups, HASH_COUNT(set->markers), take_marker);
    struct postgres_array ids;

    if (lookup == NULL)
        return;
    postgres_array_init(&ids, POSTGRES_UUID);
    for (struct push_marker *m = set->markers; m != NULL; m = m->hh.next) {
        if (m->loaded || !same(&m->key.region, region))
            continue;
        m->loaded = true;
        lookup->entries[lookup->count++] = m;
        postgres_array_add_uuid(&ids, &m->key.family);
    }
    if (lookup->count > 0) {
        postgres_query(lookups->conn,
                       "SELECT u.o, m.* FROM unnest($2::uuid[]) WITH ORDINALITY u(id, o),"
                       " LATERAL (SELECT kind, seq FROM marker"
                       " WHERE region_id = $1 AND family_id = u.id OFFSET 0) m");
        postgres_put_uuid(lookups->conn, region);
        postgres_put_array(lookups->conn, &ids);
        lookup->query = postgres_end_query(lookups->conn);
        lookups->count++;
    }
    postgres_array_deinit(&ids);
}

/* Version, deleted, stamp, body and past from a column on. */
static void record_from_row(struct push_set *set, struct push_record *record,
                            const PGresult *result, size_t row, int column, bool *failed)
{
    struct rpc_bytes body = postgres_bytes(result, row, column + 3);
    struct rpc_bytes past = postgres_bytes(result, row, column + 4);

    record->stored = true;
    record->version = postgres_u64(result, row, column);
    record->deleted = postgres_bool(result, row, column + 1);
    record->stamp = postgres_u64(result, row, column + 2);
    record->body = arena_dup(&set->arena, body);
    record->past = arena_dup(&set->arena, past);
    *failed = *failed || record->body.len != body.len || record->past.len != past.len;
}

static void take_record(struct push_set *set, void *entry, const PGresult *result, size_t row,
                        bool *failed)
{
    record_from_row(set, entry, result, row, 1, failed);
}

/* The region where the record is read; each of its family's holds the same. False:
 * in none. */
static bool region_of(struct push_set *set, const struct record_key *key,
                      struct record_uuid *region_out)
{
    bool added;

    *region_out = scope_global_region;
    if (record_uuid_is_zero(&key->family))
        return true;
    const struct push_family *family = push_set_family(set, &key->family, &added);
    if (family == NULL || family->regions.count == 0)
        return false;
    *region_out = family->regions.ids[0];
    return true;
}

static void look_up_records(struct postgres_lookups *lookups, const struct record_uuid *region)
{
    struct push_set *set = lookups->set;
    struct postgres_lookup *lookup = lookup_begin(lookups, HASH_COUNT(set->records), take_record);
    struct postgres_array families, types, ids;
    struct record_uuid where;

    if (lookup == NULL)
        return;
    postgres_array_init(&families, POSTGRES_UUID);
    postgres_array_init(&types, POSTGRES_INT);
    postgres_array_init(&ids, POSTGRES_UUID);
    for (struct push_record *r = set->records; r != NULL; r = r->hh.next) {
        if (r->loaded || !region_of(set, &r->key, &where) || !same(&where, region))
            continue;
        r->loaded = true;
        lookup->entries[lookup->count++] = r;
        postgres_array_add_uuid(&families, &r->key.family);
        postgres_array_add_int(&types, (int32_t)r->key.type);
        postgres_array_add_uuid(&ids, &r->key.id);
    }
    if (lookup->count > 0) {
        postgres_query(lookups->conn,
                       "SELECT u.o, r.* FROM unnest($2::uuid[], $3::integer[], $4::uuid[])"
                       " WITH ORDINALITY u(family_id, type, id, o), LATERAL (SELECT version,"
                       " deleted, stamp, body, past FROM record WHERE region_id = $1"
                       " AND family_id = u.family_id AND type = u.type AND id = u.id OFFSET 0) r");
        postgres_put_uuid(lookups->conn, region);
        postgres_put_array(lookups->conn, &families);
        postgres_put_array(lookups->conn, &types);
        postgres_put_array(lookups->conn, &ids);
        lookup->query = postgres_end_query(lookups->conn);
        lookups->count++;
    }
    postgres_array_deinit(&families);
    postgres_array_deinit(&types);
    postgres_array_deinit(&ids);
}

/* What the set has already may have been changed in this transaction and stays. */
static void take_whole(struct push_set *set, void *entry, const PGresult *result, size_t row,
                       bool *failed)
{
    const struct push_family *family = entry;
    struct record_key key = {family->id, (uint32_t)postgres_int(result, row, 6),
                             postgres_uuid(result, row, 7)};
    bool added;
    struct push_record *record = push_set_record(set, &key, &added);

    *failed = *failed || record == NULL;
    if (record == NULL || record->loaded)
        return;
    record->loaded = true;
    record_from_row(set, record, result, row, 1, failed);
}

/* All records of the families that may move. */
static void look_up_whole(struct postgres_lookups *lookups, const struct record_uuid *region)
{
    struct push_set *set = lookups->set;
    struct postgres_lookup *lookup = lookup_begin(lookups, HASH_COUNT(set->families), take_whole);
    struct postgres_array ids;

    if (lookup == NULL)
        return;
    postgres_array_init(&ids, POSTGRES_UUID);
    for (struct push_family *f = set->families; f != NULL; f = f->hh.next) {
        if (!f->whole || f->whole_loaded || f->regions.count == 0 ||
            !same(&f->regions.ids[0], region))
            continue;
        f->whole_loaded = true;
        lookup->entries[lookup->count++] = f;
        postgres_array_add_uuid(&ids, &f->id);
    }
    if (lookup->count > 0) {
        postgres_query(lookups->conn,
                       "SELECT u.o, r.* FROM unnest($2::uuid[]) WITH ORDINALITY u(id, o),"
                       " LATERAL (SELECT version, deleted, stamp, body, past, type, id FROM record"
                       " WHERE region_id = $1 AND family_id = u.id OFFSET 0) r");
        postgres_put_uuid(lookups->conn, region);
        postgres_put_array(lookups->conn, &ids);
        lookup->query = postgres_end_query(lookups->conn);
        lookups->count++;
    }
    postgres_array_deinit(&ids);
}

enum postgres_code postgres_lookups_take(struct postgres_lookups *lookups)
{
    for (size_t i = 0; i < lookups->count; i++) {
        const struct postgres_lookup *lookup = &lookups->list[i];
        const PGresult *result = postgres_result(lookups->conn, lookup->query);
        for (size_t row = 0; row < postgres_row_count(result); row++) {
            uint64_t at = postgres_u64(result, row, 0) - 1;
            if (at < lookup->count)
                lookup->take(lookups->set, lookup->entries[at], result, row, &lookups->failed);
        }
    }
    lookups->count = 0;
    return lookups->failed ? POSTGRES_NO_MEMORY : POSTGRES_OK;
}

enum postgres_code postgres_lookups_run(struct postgres_lookups *lookups)
{
    enum postgres_code code = POSTGRES_OK;

    if (lookups->failed)
        return POSTGRES_NO_MEMORY;
    if (lookups->count > 0)
        code = postgres_exchange(lookups->conn);
    return code == POSTGRES_OK ? postgres_lookups_take(lookups) : code;
}

void postgres_look_up_first(struct postgres_lookups *lookups, const struct postgres_locks *locks)
{
    look_up_families(lookups);
    for (size_t i = 0; i < locks->count; i++) {
        look_up_known(lookups, &locks->regions[i]);
        look_up_receipts(lookups, &locks->regions[i]);
        look_up_markers(lookups, &locks->regions[i]);
    }
}

void postgres_look_up_then(struct postgres_lookups *lookups, const struct postgres_locks *locks)
{
    struct record_uuid where;

    look_up_records(lookups, &scope_global_region);
    for (size_t i = 0; i < locks->count; i++) {
        look_up_whole(lookups, &locks->regions[i]);
        if (!record_uuid_is_zero(&locks->regions[i]))
            look_up_records(lookups, &locks->regions[i]);
    }
    for (struct push_record *r = lookups->set->records; r != NULL; r = r->hh.next)
        if (!r->loaded && !region_of(lookups->set, &r->key, &where))
            r->loaded = true; /* of a family that is nowhere yet */
}
