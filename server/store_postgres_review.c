/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine's side of what waits for a person: the quarantine and the
 * conflicts.
 */
#include "store_postgres.h"

/* ---- What the lists share ------------------------------------------------- */

enum { ENTRY_BYTES_MAX = 3 * RECORD_ENVELOPE_BYTES_MAX + 1024 };

/* Parameters 1 to 6 of a listing. */
static void put_range(struct postgres_conn *conn, const struct store_mutation_range *range,
                      uint64_t offset)
{
    postgres_put_u64(conn, STORE_LIST_ROWS_MAX);
    postgres_put_u64(conn, offset);
    postgres_put_id16(conn, range->first.bytes);
    postgres_put_id16(conn, range->last.bytes);
    if (range->region_id != NULL)
        postgres_put_uuid(conn, range->region_id);
    else
        postgres_put_null(conn);
    postgres_put_bool(conn, range->closed_too);
}

/* Parameters 1 and 2. */
static void put_entry(struct postgres_conn *conn, const struct store_review *review)
{
    postgres_put_uuid(conn, &review->region_id);
    postgres_put_id16(conn, review->mutation_id.bytes);
}

/* Parameters 1 to 4 of a change. */
static void put_review(struct postgres_conn *conn, const struct store_review *review)
{
    put_entry(conn, review);
    postgres_put_u64(conn, (uint64_t)review->now_ms);
    postgres_put_text(conn, review->account, strnlen(review->account, sizeof review->account));
}

static enum postgres_code run_change(struct postgres_conn *conn, bool *found_out)
{
    size_t query = postgres_end_query(conn);
    enum postgres_code code = postgres_exchange(conn);

    *found_out = code == POSTGRES_OK && postgres_changed(postgres_result(conn, query)) > 0;
    return code;
}

/* A copy that may be empty; false: no memory. */
static bool copy_column(const PGresult *result, size_t row, int column, struct arena *arena,
                        struct rpc_bytes *bytes_out)
{
    struct rpc_bytes bytes = postgres_bytes(result, row, column);

    *bytes_out = arena_dup(arena, bytes);
    return bytes_out->len == bytes.len;
}

/* ---- The quarantine -------------------------------------------------------- */

static bool quarantined_from_row(const PGresult *result, size_t row, struct arena *arena,
                                 struct store_quarantined *entry)
{
    entry->region_id = postgres_uuid(result, row, 0);
    postgres_copy(result, row, 1, entry->mutation_id.bytes, RECORD_MUTATION_ID_LEN);
    entry->device_id = postgres_uuid(result, row, 2);
    entry->received_at_ms = (int64_t)postgres_u64(result, row, 3);
    entry->reason = (uint32_t)postgres_int(result, row, 4);
    entry->field = (uint32_t)postgres_u64(result, row, 5);
    entry->discarded.at_ms = (int64_t)postgres_u64(result, row, 7);
    return copy_column(result, row, 6, arena, &entry->mutation) &&
           copy_column(result, row, 8, arena, &entry->discarded.account);
}

enum postgres_code postgres_quarantine_list(struct postgres_conn *conn,
                                            struct store_quarantine_list *list)
{
    arena_deinit(&list->arena); /* of an earlier try */
    arena_init(&list->arena, (size_t)STORE_LIST_ROWS_MAX * ENTRY_BYTES_MAX);
    list->entry_count = 0;
    list->entries = arena_alloc(&list->arena, STORE_LIST_ROWS_MAX * sizeof *list->entries);
    if (list->entries == NULL)
        return POSTGRES_NO_MEMORY;
    postgres_query(conn,
                   "SELECT region_id, mutation_id, device_id, received_at_ms, reason, field,"
                   " mutation, discarded_at_ms, discarded_by FROM quarantine"
                   " WHERE mutation_id BETWEEN $3 AND $4 AND ($5::uuid IS NULL OR region_id = $5)"
                   " AND ($6 OR discarded_at_ms = 0)"
                   " ORDER BY received_at_ms, mutation_id LIMIT $1 OFFSET $2");
    put_range(conn, &list->range, list->offset);
    size_t rows = postgres_end_query(conn);
    size_t total = postgres_send(conn, "SELECT count(*) FROM quarantine WHERE discarded_at_ms = 0");
    enum postgres_code code = postgres_exchange(conn);
    if (code != POSTGRES_OK)
        return code;
    const PGresult *result = postgres_result(conn, rows);
    for (size_t row = 0; row < postgres_row_count(result); row++)
        if (!quarantined_from_row(result, row, &list->arena, &list->entries[list->entry_count++]))
            return POSTGRES_NO_MEMORY;
    list->total = postgres_u64(postgres_result(conn, total), 0, 0);
    return POSTGRES_OK;
}

/* The author of a quarantined mutation, as it may write now. A device that is
 * gone leaves its enrolment region; the server's own mutations are its own. */
static enum postgres_code read_author(struct postgres_conn *conn, const struct scope_roles *roles,
                                      const struct record_uuid *device_id,
                                      const struct store_review *review,
                                      struct scope_device *author)
{
    *author = (struct scope_device){
        .device_id = *device_id,
        .enrolment_region = review->region_id,
        .region = review->region_id,
        .admin = record_uuid_is_zero(device_id),
    };
    enum postgres_code code = postgres_read_author(conn, roles, device_id, author);
    return code == POSTGRES_ABSENT ? POSTGRES_OK : code;
}

static size_t send_kept(struct postgres_conn *conn, const struct store_review *review)
{
    postgres_query(conn, "SELECT device_id, mutation FROM quarantine"
                         " WHERE region_id = $1 AND mutation_id = $2 AND length(mutation) > 0");
    put_entry(conn, review);
    return postgres_end_query(conn);
}

/* The batch of the kept mutation alone; NULL with POSTGRES_OK: there is none. */
static enum postgres_code read_kept(struct postgres_conn *conn, const struct scope_roles *roles,
                                    struct record_hasher *hasher, const struct store_review *review,
                                    struct push_batch **batch_out)
{
    struct scope_device author;
    size_t query = send_kept(conn, review);
    enum postgres_code code = postgres_exchange(conn);

    if (code != POSTGRES_OK || postgres_row_count(postgres_result(conn, query)) == 0)
        return code;
    struct record_uuid device_id = postgres_uuid(postgres_result(conn, query), 0, 0);
    code = read_author(conn, roles, &device_id, review, &author);
    if (code != POSTGRES_OK)
        return code;
    query = send_kept(conn, review);
    code = postgres_exchange(conn);
    if (code != POSTGRES_OK || postgres_row_count(postgres_result(conn, query)) == 0)
        return code;
    *batch_out = push_batch_new(&author, review->now_ms);
    return *batch_out != NULL &&
                   push_batch_add(*batch_out, postgres_bytes(postgres_result(conn, query), 0, 1), 0,
                                  hasher)
               ? POSTGRES_OK
               : POSTGRES_NO_MEMORY;
}

static enum postgres_code decide_again(struct postgres_conn *conn, struct push_set *set,
                                       struct push_batch *batch, struct postgres_locks *locks,
                                       struct store_quarantine_retry *retry)
{
    batch->again = true;
    enum postgres_code code = postgres_push_decide(conn, set, &batch, 1, locks, NULL);

    if (code != POSTGRES_OK)
        return code;
    retry->outcome = batch->items[0].outcome;
    if (retry->outcome.status == PUSH_QUARANTINED || retry->outcome.status == PUSH_RETRY)
        return postgres_exec(conn, "ROLLBACK");
    postgres_push_write(conn, set);
    postgres_query(conn, "DELETE FROM quarantine WHERE region_id = $1 AND mutation_id = $2");
    put_entry(conn, &retry->review);
    postgres_end_query(conn);
    return postgres_push_commit(conn);
}

enum postgres_code postgres_quarantine_retry(struct postgres_conn *conn,
                                             const struct scope_roles *roles,
                                             struct record_hasher *hasher,
                                             struct store_quarantine_retry *retry)
{
    struct postgres_locks locks = {0};
    struct push_batch *batch = NULL;
    struct push_set set;
    enum postgres_code code = read_kept(conn, roles, hasher, &retry->review, &batch);

    retry->found = batch != NULL;
    bool again = code == POSTGRES_OK && batch != NULL;
    while (again) {
        push_set_init(&set, roles, hasher);
        code = decide_again(conn, &set, batch, &locks, retry);
        push_set_deinit(&set);
        again = code == POSTGRES_ABSENT;
        if (again)
            postgres_rollback(conn);
    }
    push_batch_free(batch);
    return code;
}

enum postgres_code postgres_quarantine_discard(struct postgres_conn *conn,
                                               struct store_quarantine_discard *discard)
{
    postgres_query(conn, discard->purge
                             ? "UPDATE quarantine SET discarded_at_ms = $3, discarded_by = $4,"
                               " mutation = '' WHERE region_id = $1 AND mutation_id = $2"
                               " AND length(mutation) > 0"
                             : "UPDATE quarantine SET discarded_at_ms = $3, discarded_by = $4"
                               " WHERE region_id = $1 AND mutation_id = $2"
                               " AND discarded_at_ms = 0");
    put_review(conn, &discard->review);
    return run_change(conn, &discard->found);
}

/* ---- Conflicts -------------------------------------------------------------- */

static bool conflict_from_row(const PGresult *result, size_t row, struct arena *arena,
                              struct store_conflict *entry)
{
    entry->region_id = postgres_uuid(result, row, 0);
    postgres_copy(result, row, 1, entry->mutation_id.bytes, RECORD_MUTATION_ID_LEN);
    entry->key.family = postgres_uuid(result, row, 2);
    entry->key.type = (uint32_t)postgres_int(result, row, 3);
    entry->key.id = postgres_uuid(result, row, 4);
    entry->device_id = postgres_uuid(result, row, 5);
    entry->version = postgres_u64(result, row, 6);
    entry->received_at_ms = (int64_t)postgres_u64(result, row, 7);
    entry->resolved.at_ms = (int64_t)postgres_u64(result, row, 10);
    return copy_column(result, row, 8, arena, &entry->clashes) &&
           copy_column(result, row, 9, arena, &entry->mutation) &&
           copy_column(result, row, 11, arena, &entry->resolved.account);
}

enum postgres_code postgres_conflict_list(struct postgres_conn *conn,
                                          struct store_conflict_list *list)
{
    arena_deinit(&list->arena); /* of an earlier try */
    arena_init(&list->arena, (size_t)STORE_LIST_ROWS_MAX * ENTRY_BYTES_MAX);
    list->entry_count = 0;
    list->entries = arena_alloc(&list->arena, STORE_LIST_ROWS_MAX * sizeof *list->entries);
    if (list->entries == NULL)
        return POSTGRES_NO_MEMORY;
    postgres_query(conn,
                   "SELECT region_id, mutation_id, family_id, type, id, device_id, version,"
                   " received_at_ms, clashes, mutation, resolved_at_ms, resolved_by FROM conflict"
                   " WHERE mutation_id BETWEEN $3 AND $4 AND ($5::uuid IS NULL OR region_id = $5)"
                   " AND ($6 OR resolved_at_ms = 0)"
                   " ORDER BY received_at_ms, mutation_id LIMIT $1 OFFSET $2");
    put_range(conn, &list->range, list->offset);
    size_t rows = postgres_end_query(conn);
    size_t total = postgres_send(conn, "SELECT count(*) FROM conflict WHERE resolved_at_ms = 0");
    enum postgres_code code = postgres_exchange(conn);
    if (code != POSTGRES_OK)
        return code;
    const PGresult *result = postgres_result(conn, rows);
    for (size_t row = 0; row < postgres_row_count(result); row++)
        if (!conflict_from_row(result, row, &list->arena, &list->entries[list->entry_count++]))
            return POSTGRES_NO_MEMORY;
    list->total = postgres_u64(postgres_result(conn, total), 0, 0);
    return POSTGRES_OK;
}

enum postgres_code postgres_conflict_resolve(struct postgres_conn *conn,
                                             struct store_conflict_resolve *resolve)
{
    postgres_query(conn, "UPDATE conflict SET resolved_at_ms = $3, resolved_by = $4"
                         " WHERE region_id = $1 AND mutation_id = $2 AND resolved_at_ms = 0");
    put_review(conn, &resolve->review);
    return run_change(conn, &resolve->found);
}
