/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine's locks: the counters of regions (R10). They are taken in the
 * exchange that begins a transaction, before anything that a decision stands on is read;
 * and by readers that see less than they have been told (store.h).
 */
#include "store_postgres.h"

bool postgres_locks_add(struct postgres_locks *locks, const struct record_uuid *region)
{
    size_t at = 0;

    while (at < locks->count && record_uuid_compare(&locks->regions[at], region) < 0)
        at++;
    if (at < locks->count && record_uuid_compare(&locks->regions[at], region) == 0)
        return true;
    if (locks->count == POSTGRES_LOCKS_MAX)
        return false;
    memmove(&locks->regions[at + 1], &locks->regions[at],
            (locks->count - at) * sizeof locks->regions[0]);
    locks->regions[at] = *region;
    locks->count++;
    return true;
}

static bool region_from_result(struct push_set *set, const struct record_uuid *id,
                               const PGresult *result)
{
    bool added;
    struct push_region *region = push_set_region(set, id, &added);

    if (region == NULL)
        return false;
    region->loaded = true;
    if (postgres_row_count(result) == 1) {
        region->last_seq = postgres_u64(result, 0, 0);
        postgres_copy(result, 0, 1, region->last_hash, AUDIT_HASH_LEN);
        region->records = postgres_u64(result, 0, 2);
        region->digest = postgres_u64(result, 0, 3);
        type_sums_parse(postgres_bytes(result, 0, 4), &region->types);
    }
    return true;
}

static size_t send_lock(struct postgres_conn *conn, const struct record_uuid *region)
{
    postgres_query(conn, "SELECT last_seq, last_hash, records, digest, type_sums FROM sync_region"
                         " WHERE region_id = $1 FOR UPDATE");
    postgres_put_uuid(conn, region);
    return postgres_end_query(conn);
}

void postgres_locks_send(struct postgres_conn *conn, const struct postgres_locks *locks,
                         struct postgres_lock_queries *queries)
{
    postgres_send(conn, "BEGIN");
    for (size_t i = 0; i < locks->count; i++)
        queries->regions[i] = send_lock(conn, &locks->regions[i]);
    postgres_query(conn, "SELECT last_seq, last_hash, records, digest, type_sums FROM sync_region"
                         " WHERE region_id = $1");
    postgres_put_uuid(conn, &scope_global_region);
    queries->global_head = postgres_end_query(conn);
}

enum postgres_code postgres_locks_take(struct postgres_conn *conn, struct push_set *set,
                                       const struct postgres_locks *locks,
                                       const struct postgres_lock_queries *queries)
{
    bool good =
        region_from_result(set, &scope_global_region, postgres_result(conn, queries->global_head));

    for (size_t i = 0; i < locks->count; i++)
        good = good && region_from_result(set, &locks->regions[i],
                                          postgres_result(conn, queries->regions[i]));
    return good ? POSTGRES_OK : POSTGRES_NO_MEMORY;
}

enum postgres_code postgres_locks_make(struct postgres_conn *conn,
                                       const struct postgres_locks *locks,
                                       const struct postgres_lock_queries *queries)
{
    static const uint8_t zeros[AUDIT_HASH_LEN];
    struct postgres_array missing;

    postgres_array_init(&missing, POSTGRES_UUID);
    for (size_t i = 0; i < locks->count; i++)
        if (postgres_row_count(postgres_result(conn, queries->regions[i])) == 0)
            postgres_array_add_uuid(&missing, &locks->regions[i]);
    enum postgres_code code = POSTGRES_OK;
    if (missing.count > 0) {
        postgres_query(conn, "INSERT INTO sync_region(region_id, last_seq, last_hash, records,"
                             " digest) SELECT u.id, 0, $2, 0, 0 FROM unnest($1::uuid[]) u(id)"
                             " ON CONFLICT (region_id) DO NOTHING");
        postgres_put_array(conn, &missing);
        postgres_put_bytes(conn, zeros, sizeof zeros);
        postgres_end_query(conn);
        code = postgres_exec(conn, "COMMIT");
        code = code == POSTGRES_OK ? POSTGRES_ABSENT : code;
    }
    postgres_array_deinit(&missing);
    return code;
}

enum postgres_code postgres_await_regions(struct postgres_conn *conn,
                                          const struct postgres_locks *regions)
{
    if (postgres_in_transaction(conn))
        postgres_send(conn, "COMMIT");
    postgres_send(conn, "BEGIN");
    for (size_t i = 0; i < regions->count; i++) {
        postgres_query(conn, "SELECT last_seq FROM sync_region WHERE region_id = $1 FOR SHARE");
        postgres_put_uuid(conn, &regions->regions[i]);
        postgres_end_query(conn);
    }
    postgres_send(conn, "COMMIT");
    return postgres_exec(conn, POSTGRES_BEGIN_SNAPSHOT);
}
