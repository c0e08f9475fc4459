/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite engine's side of what waits for a person: the quarantine and the
 * conflicts.
 */
#include "store_sqlite.h"

/* ---- What the lists share ------------------------------------------------- */

enum { ENTRY_BYTES_MAX = 3 * RECORD_ENVELOPE_BYTES_MAX + 1024 };

static int count_rows(struct sqlite_conn *conn, const char *sql, uint64_t *count_out)
{
    sqlite3_stmt *statement = sqlite_conn_statement(conn, sql);

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *count_out = sqlite_column_u64(statement, 0);
    sqlite3_reset(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static void bind_mutation_id(sqlite3_stmt *statement, int index,
                             const struct record_mutation_id *id)
{
    sqlite_bind_bytes(statement, index, id->bytes, RECORD_MUTATION_ID_LEN);
}

/* Parameters 1 to 6 of a listing. */
static void bind_range(sqlite3_stmt *statement, const struct store_mutation_range *range,
                       uint64_t offset)
{
    sqlite3_bind_int(statement, 1, STORE_LIST_ROWS_MAX);
    sqlite_bind_u64(statement, 2, offset);
    bind_mutation_id(statement, 3, &range->first);
    bind_mutation_id(statement, 4, &range->last);
    if (range->region_id != NULL)
        sqlite_bind_uuid(statement, 5, range->region_id);
    sqlite3_bind_int(statement, 6, range->closed_too);
}

/* Parameters 1 and 2. */
static void bind_entry(sqlite3_stmt *statement, const struct store_review *review)
{
    sqlite_bind_uuid(statement, 1, &review->region_id);
    bind_mutation_id(statement, 2, &review->mutation_id);
}

/* Parameters 1 to 4 of a change. */
static void bind_review(sqlite3_stmt *statement, const struct store_review *review)
{
    bind_entry(statement, review);
    sqlite3_bind_int64(statement, 3, review->now_ms);
    sqlite3_bind_text(statement, 4, review->account, -1, SQLITE_STATIC);
}

static int run_change(struct sqlite_conn *conn, sqlite3_stmt *statement, bool *found_out)
{
    int code = sqlite_conn_run(statement);

    *found_out = code == SQLITE_OK && sqlite3_changes(conn->db) > 0;
    return code;
}

/* A copy that may be empty; false: no memory. */
static bool copy_column(sqlite3_stmt *statement, int index, struct arena *arena,
                        struct rpc_bytes *bytes_out)
{
    struct rpc_bytes bytes = sqlite_column_view(statement, index);

    *bytes_out = arena_dup(arena, bytes);
    return bytes_out->len == bytes.len;
}

/* ---- The quarantine -------------------------------------------------------- */

static bool quarantined_from_row(sqlite3_stmt *statement, struct arena *arena,
                                 struct store_quarantined *entry)
{
    entry->region_id = sqlite_column_uuid(statement, 0);
    sqlite_column_copy(statement, 1, entry->mutation_id.bytes, RECORD_MUTATION_ID_LEN);
    entry->device_id = sqlite_column_uuid(statement, 2);
    entry->received_at_ms = sqlite3_column_int64(statement, 3);
    entry->reason = (uint32_t)sqlite3_column_int64(statement, 4);
    entry->field = (uint32_t)sqlite3_column_int64(statement, 5);
    entry->discarded.at_ms = sqlite3_column_int64(statement, 7);
    return copy_column(statement, 6, arena, &entry->mutation) &&
           copy_column(statement, 8, arena, &entry->discarded.account);
}

int sqlite_quarantine_list(struct sqlite_conn *conn, struct store_quarantine_list *list)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT region_id, mutation_id, device_id, received_at_ms, reason, field, mutation,"
              " discarded_at_ms, discarded_by FROM quarantine"
              " WHERE mutation_id BETWEEN ?3 AND ?4 AND (?5 IS NULL OR region_id = ?5)"
              " AND (?6 OR discarded_at_ms = 0)"
              " ORDER BY received_at_ms, mutation_id LIMIT ?1 OFFSET ?2");
    int code;

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    arena_init(&list->arena, (size_t)STORE_LIST_ROWS_MAX * ENTRY_BYTES_MAX);
    list->entry_count = 0;
    list->entries = arena_alloc(&list->arena, STORE_LIST_ROWS_MAX * sizeof *list->entries);
    if (list->entries == NULL)
        return SQLITE_NOMEM;
    bind_range(statement, &list->range, list->offset);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        if (!quarantined_from_row(statement, &list->arena, &list->entries[list->entry_count++]))
            break;
    sqlite3_reset(statement);
    if (code != SQLITE_DONE)
        return code == SQLITE_ROW ? SQLITE_NOMEM : code;
    return count_rows(conn, "SELECT count(*) FROM quarantine WHERE discarded_at_ms = 0",
                      &list->total);
}

/* The author of a quarantined mutation, as it may write now. A device that is
 * gone leaves its enrolment region; the server's own mutations are its own. */
static int read_author(struct sqlite_conn *conn, const struct scope_roles *roles,
                       const struct record_uuid *device_id, const struct store_review *review,
                       struct scope_device *author)
{
    *author = (struct scope_device){
        .device_id = *device_id,
        .enrolment_region = review->region_id,
        .region = review->region_id,
        .admin = record_uuid_is_zero(device_id),
    };
    int code = sqlite_read_author(conn, roles, device_id, author);
    return code == SQLITE_NOTFOUND ? SQLITE_OK : code;
}

/* The batch of the kept mutation alone; NULL with SQLITE_OK: there is none. */
static int read_kept(struct sqlite_conn *conn, const struct scope_roles *roles,
                     struct record_hasher *hasher, const struct store_review *review,
                     struct push_batch **batch_out)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT device_id, mutation FROM quarantine"
              " WHERE region_id = ?1 AND mutation_id = ?2 AND length(mutation) > 0");
    struct scope_device author;

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    bind_entry(statement, review);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        struct record_uuid device_id = sqlite_column_uuid(statement, 0);
        code = read_author(conn, roles, &device_id, review, &author);
        if (code == SQLITE_OK) {
            *batch_out = push_batch_new(&author, review->now_ms);
            if (*batch_out == NULL ||
                !push_batch_add(*batch_out, sqlite_column_view(statement, 1), 0, hasher))
                code = SQLITE_NOMEM;
        }
    }
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int take_out(struct sqlite_conn *conn, const struct store_review *review)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "DELETE FROM quarantine WHERE region_id = ?1 AND mutation_id = ?2");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    bind_entry(statement, review);
    return sqlite_conn_run(statement);
}

static int decide_again(struct sqlite_conn *conn, struct push_set *set, struct push_batch *batch,
                        struct store_quarantine_retry *retry)
{
    batch->again = true;
    int code = sqlite_push_load(conn, set, batch);
    if (code == SQLITE_OK && !push_decide(set, batch))
        code = SQLITE_NOMEM;
    if (code != SQLITE_OK)
        return code;
    retry->outcome = batch->items[0].outcome;
    if (retry->outcome.status == PUSH_QUARANTINED || retry->outcome.status == PUSH_RETRY)
        return SQLITE_OK; /* the set is dropped: nothing of it was written */
    code = sqlite_push_write(conn, set);
    return code == SQLITE_OK ? take_out(conn, &retry->review) : code;
}

int sqlite_quarantine_retry(struct sqlite_conn *conn, const struct scope_roles *roles,
                            struct record_hasher *hasher, struct store_quarantine_retry *retry)
{
    struct push_batch *batch = NULL;
    struct push_set set;
    int code = read_kept(conn, roles, hasher, &retry->review, &batch);

    retry->found = batch != NULL;
    if (code == SQLITE_OK && batch != NULL) {
        push_set_init(&set, roles, hasher);
        code = decide_again(conn, &set, batch, retry);
        push_set_deinit(&set);
    }
    push_batch_free(batch);
    return code;
}

int sqlite_quarantine_discard(struct sqlite_conn *conn, struct store_quarantine_discard *discard)
{
    static const char keep[] = "UPDATE quarantine SET discarded_at_ms = ?3, discarded_by = ?4"
                               " WHERE region_id = ?1 AND mutation_id = ?2"
                               " AND discarded_at_ms = 0";
    static const char purge[] = "UPDATE quarantine SET discarded_at_ms = ?3, discarded_by = ?4,"
                                " mutation = x'' WHERE region_id = ?1 AND mutation_id = ?2"
                                " AND length(mutation) > 0";
    sqlite3_stmt *statement = sqlite_conn_statement(conn, discard->purge ? purge : keep);

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    bind_review(statement, &discard->review);
    return run_change(conn, statement, &discard->found);
}

/* ---- Conflicts -------------------------------------------------------------- */

static bool conflict_from_row(sqlite3_stmt *statement, struct arena *arena,
                              struct store_conflict *entry)
{
    entry->region_id = sqlite_column_uuid(statement, 0);
    sqlite_column_copy(statement, 1, entry->mutation_id.bytes, RECORD_MUTATION_ID_LEN);
    entry->key.family = sqlite_column_uuid(statement, 2);
    entry->key.type = (uint32_t)sqlite3_column_int64(statement, 3);
    entry->key.id = sqlite_column_uuid(statement, 4);
    entry->device_id = sqlite_column_uuid(statement, 5);
    entry->version = sqlite_column_u64(statement, 6);
    entry->received_at_ms = sqlite3_column_int64(statement, 7);
    entry->resolved.at_ms = sqlite3_column_int64(statement, 10);
    return copy_column(statement, 8, arena, &entry->clashes) &&
           copy_column(statement, 9, arena, &entry->mutation) &&
           copy_column(statement, 11, arena, &entry->resolved.account);
}

int sqlite_conflict_list(struct sqlite_conn *conn, struct store_conflict_list *list)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT region_id, mutation_id, family_id, type, id, device_id, version,"
              " received_at_ms, clashes, mutation, resolved_at_ms, resolved_by FROM conflict"
              " WHERE mutation_id BETWEEN ?3 AND ?4 AND (?5 IS NULL OR region_id = ?5)"
              " AND (?6 OR resolved_at_ms = 0)"
              " ORDER BY received_at_ms, mutation_id LIMIT ?1 OFFSET ?2");
    int code;

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    arena_init(&list->arena, (size_t)STORE_LIST_ROWS_MAX * ENTRY_BYTES_MAX);
    list->entry_count = 0;
    list->entries = arena_alloc(&list->arena, STORE_LIST_ROWS_MAX * sizeof *list->entries);
    if (list->entries == NULL)
        return SQLITE_NOMEM;
    bind_range(statement, &list->range, list->offset);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        if (!conflict_from_row(statement, &list->arena, &list->entries[list->entry_count++]))
            break;
    sqlite3_reset(statement);
    if (code != SQLITE_DONE)
        return code == SQLITE_ROW ? SQLITE_NOMEM : code;
    return count_rows(conn, "SELECT count(*) FROM conflict WHERE resolved_at_ms = 0", &list->total);
}

int sqlite_conflict_resolve(struct sqlite_conn *conn, struct store_conflict_resolve *resolve)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "UPDATE conflict SET resolved_at_ms = ?3, resolved_by = ?4"
              " WHERE region_id = ?1 AND mutation_id = ?2 AND resolved_at_ms = 0");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    bind_review(statement, &resolve->review);
    return run_change(conn, statement, &resolve->found);
}
