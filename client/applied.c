/* SPDX-License-Identifier: Apache-2.0 */
#include "applied.h"

#include "apply.h"
#include "settle.h"

/* The columns of OUTBOX_RUN. */
enum { COLUMN_N, COLUMN_TYPE, COLUMN_FAMILY, COLUMN_ID, COLUMN_MUTATION, COLUMN_GENERATION };

/* What is settled by one call. */
struct settled {
    struct record_key keys[STORE_KEYS_MAX]; /* ascending, of one type */
    uint64_t stamps[STORE_KEYS_MAX];
    size_t count;
    bool alone; /* no other record is pending between them */
};

/* New: it has no base, and no held copy. */
static bool is_new(struct store *store, const struct record_key *key,
                   const struct record_mutation *mutation, bool *new_out)
{
    uint64_t stamp = 0;

    *new_out = false;
    if (mutation->base_version != 0)
        return true;
    if (!image_sealed_stamp(store, key, &stamp))
        return false;
    *new_out = stamp == 0;
    return true;
}

/* taken_out: false: it is not such a record. */
static bool take_one(struct store *store, const struct record_key *key, struct rpc_bytes bytes,
                     struct settled *settled, bool *taken_out)
{
    struct record_mutation mutation;

    *taken_out = false;
    if (!record_mutation_parse(bytes, &mutation))
        return store_fail(store, OUTPOST_BAD_INPUT, "an outbox entry is damaged");
    if (!is_new(store, key, &mutation, taken_out))
        return false;
    if (*taken_out) {
        settled->keys[settled->count] = *key;
        settled->stamps[settled->count++] =
            record_stamp(store->hasher, SETTLE_VERSION, false, mutation.body);
    }
    return true;
}

static bool follows(const struct settled *settled, const struct record_key *key)
{
    const struct record_key *before;

    if (settled->count == 0)
        return true;
    before = &settled->keys[settled->count - 1];
    return before->type == key->type && record_key_compare(before, key) < 0;
}

/* The pending records of one type, read along with a run: they come in the order of their
 * keys, too. */
struct pending {
    sqlite3_stmt *statement; /* NULL: not begun */
    bool at_row;
    struct record_key key;
    int64_t generation;
};

static bool next_pending(struct store *store, struct pending *pending)
{
    enum store_step step = store_step(store, pending->statement);

    pending->at_row = step == STORE_ROW;
    if (pending->at_row) {
        pending->key.family = store_column_uuid(pending->statement, 0);
        pending->key.id = store_column_uuid(pending->statement, 1);
        pending->generation = sqlite3_column_int64(pending->statement, 2);
    }
    return step != STORE_FAILED;
}

static bool begin_pending(struct store *store, struct pending *pending,
                          const struct record_key *from)
{
    pending->key = *from;
    pending->statement = store_statement(store, STORE_PENDING_FROM);
    store_bind_key(pending->statement, from);
    return next_pending(store, pending);
}

/* Whether the app has not edited the record since it was sealed; alone becomes false when others
 * lie before it. */
static bool look_at_pending(struct store *store, struct pending *pending,
                            const struct record_key *key, int64_t generation, bool *alone,
                            bool *unedited_out)
{
    *unedited_out = false;
    if (pending->statement == NULL && !begin_pending(store, pending, key))
        return false;
    while (pending->at_row && record_key_compare(&pending->key, key) < 0) {
        *alone = false;
        if (!next_pending(store, pending))
            return false;
    }
    if (!pending->at_row || record_key_compare(&pending->key, key) != 0 ||
        pending->generation != generation)
        return true;
    *unedited_out = true;
    return next_pending(store, pending);
}

static bool take_front(struct store *store, const struct applied_run *run, struct settled *settled)
{
    size_t most = run->count < STORE_KEYS_MAX ? run->count : STORE_KEYS_MAX;
    sqlite3_stmt *entry = store_statement(store, STORE_OUTBOX_RUN);
    struct pending pending = {.statement = NULL};
    bool good = entry != NULL, taken = true;

    if (good) {
        sqlite3_bind_int64(entry, 1, run->first);
        sqlite3_bind_int64(entry, 2, run->first + (int64_t)most - 1);
    }
    while (good && taken && settled->count < most && store_step(store, entry) == STORE_ROW) {
        struct record_key key = {.type = (uint32_t)sqlite3_column_int64(entry, COLUMN_TYPE),
                                 .family = store_column_uuid(entry, COLUMN_FAMILY),
                                 .id = store_column_uuid(entry, COLUMN_ID)};
        int64_t n = sqlite3_column_int64(entry, COLUMN_N);
        int64_t generation = sqlite3_column_int64(entry, COLUMN_GENERATION);
        if (n != run->first + (int64_t)settled->count || !follows(settled, &key))
            break;
        good = look_at_pending(store, &pending, &key, generation, &settled->alone, &taken) &&
               (!taken ||
                take_one(store, &key, store_column_bytes(entry, COLUMN_MUTATION), settled, &taken));
    }
    sqlite3_reset(entry);
    sqlite3_reset(pending.statement);
    return good && store_ok(store);
}

/* Those whose rows are there, as they should be. */
static bool settle(struct store *store, struct settled *settled)
{
    if (settled->count > 0 &&
        !settle_rows(store, settled->keys, settled->stamps, settled->count, &settled->count))
        return false;
    for (size_t i = 0; i < settled->count; i++)
        if (!apply_confirm(store, &settled->keys[i]) ||
            !apply_family_present(store, &settled->keys[i].family))
            return false;
    return true;
}

static sqlite3_stmt *over_keys(struct store *store, enum store_statement which,
                               const struct settled *settled)
{
    const struct record_key *first = &settled->keys[0], *last = &settled->keys[settled->count - 1];
    sqlite3_stmt *statement = store_statement(store, which);

    if (statement == NULL)
        return NULL;
    sqlite3_bind_int64(statement, 1, first->type);
    store_bind_uuid(statement, 2, &first->family);
    store_bind_uuid(statement, 3, &last->family);
    store_bind_uuid(statement, 4, &first->id);
    store_bind_uuid(statement, 5, &last->id);
    return statement;
}

static bool delete_pending(struct store *store, const struct settled *settled)
{
    if (settled->alone)
        return store_run(store, over_keys(store, STORE_PENDING_DELETE_RUN, settled));
    for (size_t i = 0; i < settled->count; i++)
        if (!store_delete_mark(store, STORE_PENDING_DELETE, &settled->keys[i]))
            return false;
    return store_ok(store);
}

static bool delete_marks(struct store *store, const struct settled *settled)
{
    static const enum store_statement marks[] = {STORE_REJECTED_DELETE, STORE_WARNING_DELETE,
                                                 STORE_HELD_DELETE};

    for (size_t j = 0; j < sizeof marks / sizeof marks[0]; j++)
        for (size_t i = 0; i < settled->count && !store_known_empty(store, marks[j]); i++)
            if (!store_delete_mark(store, marks[j], &settled->keys[i]))
                return false;
    return delete_pending(store, settled);
}

static bool to_journal(struct store *store, int64_t first, int64_t last, int64_t now_ms)
{
    sqlite3_stmt *put = store_statement(store, STORE_JOURNAL_PUT);
    sqlite3_stmt *remove = store_statement(store, STORE_OUTBOX_DELETE_RUN);

    if (put == NULL || remove == NULL)
        return false;
    sqlite3_bind_int64(put, 1, first);
    sqlite3_bind_int64(put, 2, last);
    sqlite3_bind_int64(put, 3, now_ms);
    sqlite3_bind_int64(put, 4, SETTLE_VERSION);
    sqlite3_bind_int64(remove, 1, first);
    sqlite3_bind_int64(remove, 2, last);
    return store_run(store, put) && store_run(store, remove);
}

bool applied_take(struct store *store, const struct applied_run *run, int64_t now_ms,
                  size_t *taken_out)
{
    struct settled settled;
    int64_t last;

    settled.count = 0;
    settled.alone = true;
    if (!take_front(store, run, &settled) || !settle(store, &settled))
        return false;
    *taken_out = settled.count;
    last = run->first + (int64_t)settled.count - 1;
    return settled.count == 0 ||
           (delete_marks(store, &settled) && to_journal(store, run->first, last, now_ms));
}
