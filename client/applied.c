/* SPDX-License-Identifier: Apache-2.0 */
#include "applied.h"

#include "apply.h"
#include "schema.h"

/* The columns of OUTBOX_UNEDITED. */
enum { COLUMN_N, COLUMN_TYPE, COLUMN_FAMILY, COLUMN_ID, COLUMN_MUTATION, COLUMN_NAME, COLUMN_BODY };

/* The server's version of a record that it did not have. */
enum { FIRST_VERSION = 1 };

/* Not new: it has a base, or a held copy. */
static bool is_new(struct store *store, const struct record_key *key, struct rpc_bytes bytes,
                   bool *new_out)
{
    struct record_mutation mutation;
    uint64_t stamp;

    *new_out = false;
    if (!record_mutation_parse(bytes, &mutation))
        return store_fail(store, OUTPOST_BAD_INPUT, "an outbox entry is damaged");
    if (mutation.base_version != 0)
        return true;
    if (!image_sealed_stamp(store, key, &stamp))
        return false;
    *new_out = stamp == 0;
    return true;
}

static bool to_journal(struct store *store, const struct record_key *key, sqlite3_stmt *entry,
                       int64_t now_ms)
{
    sqlite3_stmt *add = store_statement(store, STORE_JOURNAL_ADD);

    if (add == NULL)
        return false;
    store_bind_key(add, key);
    sqlite3_bind_int64(add, 4, sqlite3_column_int64(entry, COLUMN_N));
    store_bind_bytes(add, 5, store_column_bytes(entry, COLUMN_MUTATION));
    store_bind_bytes(add, 6, store_column_bytes(entry, COLUMN_NAME));
    sqlite3_bind_int64(add, 7, now_ms);
    sqlite3_bind_int64(add, 8, FIRST_VERSION);
    return store_run(store, add);
}

/* settled_out: false: the row is not there, as it should be. */
static bool settle_row(struct store *store, const struct record_key *key, struct rpc_bytes body,
                       bool *settled_out)
{
    uint64_t stamp = record_stamp(store->hasher, FIRST_VERSION, false, body);
    struct store_table *table = store_table(store, key->type);
    sqlite3_stmt *settle = schema_statement(store, table, TABLE_SETTLE);

    if (settle == NULL)
        return false;
    int index = schema_bind_key(settle, table->type, key);
    sqlite3_bind_int64(settle, index, (sqlite3_int64)stamp);
    sqlite3_bind_int64(settle, index + 1, FIRST_VERSION);
    if (!store_run(store, settle))
        return false;
    *settled_out = sqlite3_changes(store->db) == 1;
    if (*settled_out)
        store_sum_add(store, key, stamp);
    return true;
}

static bool take_one(struct store *store, const struct record_key *key, sqlite3_stmt *entry,
                     int64_t now_ms, bool *taken_out)
{
    bool new, settled = false;

    *taken_out = false;
    if (!is_new(store, key, store_column_bytes(entry, COLUMN_MUTATION), &new))
        return false;
    if (new && !settle_row(store, key, store_column_bytes(entry, COLUMN_BODY), &settled))
        return false;
    *taken_out = settled;
    return !settled || (to_journal(store, key, entry, now_ms) && apply_confirm(store, key) &&
                        apply_family_present(store, &key->family));
}

static bool leave_outbox(struct store *store, int64_t first, const struct record_key *keys,
                         size_t count)
{
    static const enum store_statement marks[] = {STORE_PENDING_DELETE, STORE_REJECTED_DELETE,
                                                 STORE_WARNING_DELETE, STORE_HELD_DELETE};
    sqlite3_stmt *run;

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < sizeof marks / sizeof marks[0]; j++)
            if (!store_delete_mark(store, marks[j], &keys[i]))
                return false;
    run = store_statement(store, STORE_OUTBOX_DELETE_RUN);
    if (run == NULL)
        return false;
    sqlite3_bind_int64(run, 1, first);
    sqlite3_bind_int64(run, 2, first + (int64_t)count - 1);
    return store_run(store, run);
}

bool applied_take(struct store *store, const struct applied_run *run, int64_t now_ms,
                  size_t *taken_out)
{
    struct record_key keys[STORE_KEYS_MAX];
    size_t most = run->count < STORE_KEYS_MAX ? run->count : STORE_KEYS_MAX, count = 0;
    sqlite3_stmt *entry = store_statement(store, STORE_OUTBOX_UNEDITED);
    bool good = entry != NULL, taken = true;

    if (good) {
        sqlite3_bind_int64(entry, 1, run->first);
        sqlite3_bind_int64(entry, 2, run->first + (int64_t)most - 1);
    }
    while (good && count < most && store_step(store, entry) == STORE_ROW &&
           sqlite3_column_int64(entry, COLUMN_N) == run->first + (int64_t)count) {
        keys[count] =
            (struct record_key){.type = (uint32_t)sqlite3_column_int64(entry, COLUMN_TYPE),
                                .family = store_column_uuid(entry, COLUMN_FAMILY),
                                .id = store_column_uuid(entry, COLUMN_ID)};
        good = take_one(store, &keys[count], entry, now_ms, &taken);
        if (!taken)
            break;
        count++;
    }
    sqlite3_reset(entry);
    *taken_out = count;
    return good && store_ok(store) && (count == 0 || leave_outbox(store, run->first, keys, count));
}
