/* SPDX-License-Identifier: Apache-2.0 */
#include "resend.h"

#include "aside.h"
#include "outbox.h"

enum {
    /* In front of the journal, which is in front of the outbox (rank 0 and up). */
    RANK_OFFERS = -20000,
    REASON_PARENT_MISSING = 32,
    REASON_UNKNOWN_BASE = 33,
};

static bool put(struct store *store, const struct record_mutation *mutation)
{
    struct rpc_buffer bytes;
    sqlite3_stmt *statement = store_statement(store, STORE_RESEND_PUT);
    bool good = false;

    rpc_buffer_init(&bytes, RECORD_ENVELOPE_BYTES_MAX);
    record_mutation_encode(mutation, &bytes);
    if (bytes.failed) {
        store_fail(store, OUTPOST_IO, "no memory");
    } else if (statement != NULL) {
        struct record_mutation_id id = record_mutation_id(store->hasher, rpc_buffer_view(&bytes));
        store_bind_key(statement, &mutation->key);
        sqlite3_bind_int(statement, 4,
                         RANK_OFFERS + outbox_rank(store->schema, mutation->key.type));
        store_bind_bytes(statement, 5, rpc_buffer_view(&bytes));
        store_bind_bytes(statement, 6, rpc_bytes_view(id.bytes, sizeof id.bytes));
        good = store_run(store, statement);
    }
    rpc_buffer_deinit(&bytes);
    return good;
}

bool resend_offer(struct store *store, const struct record_key *key, const struct image *held)
{
    struct record_mutation mutation = {.key = *key, .recovered_version = held->version};
    struct record_body body;

    if (!held->present || held->version == 0)
        return true;
    if (!record_body_parse(rpc_buffer_view(&held->body), &body))
        return store_fail(store, OUTPOST_BAD_INPUT, "a held copy is damaged");
    mutation.deletes = held->deleted;
    mutation.body = rpc_buffer_view(&held->body);
    for (size_t i = 0; i < body.count; i++)
        mutation.fields[mutation.field_count++] = body.fields[i].number;
    return put(store, &mutation);
}

bool resend_offer_what_is_left(struct store *store, const struct record_key *key)
{
    struct image image;
    bool good;

    image_init(&image);
    if (store_table(store, key->type) == NULL) {
        good = image_read_unknown(store, key, &image);
    } else {
        good = image_read_held(store, key, &image);
        if (good && !image.present)
            good = image_read_base(store, key, &image);
    }
    good = good && (image.present && image.version > 0 ? resend_offer(store, key, &image)
                                                       : aside_offer(store, key));
    image_deinit(&image);
    return good;
}

static bool base_is_lost(const struct answer *answer)
{
    return answer->reason == REASON_UNKNOWN_BASE || answer->reason == REASON_PARENT_MISSING;
}

bool resend_offer_lost(struct store *store, const struct record_key *key,
                       const struct answer *answer)
{
    struct record_key root = {key->family, record_root_type(store->schema)->number, key->family};

    if (!base_is_lost(answer))
        return true;
    return resend_offer_what_is_left(store, key) &&
           (answer->reason != REASON_PARENT_MISSING || resend_offer_what_is_left(store, &root));
}

static bool run_for_entry(struct store *store, enum store_statement which, int64_t n)
{
    sqlite3_stmt *statement = store_statement(store, which);

    if (statement != NULL)
        sqlite3_bind_int64(statement, 1, n);
    return store_run(store, statement);
}

/* R14: the server has no place for it yet, so it is not held here either. */
static bool wait_for_parent(struct store *store, int64_t n, const struct record_key *key)
{
    uint64_t dropped = 0;

    return run_for_entry(store, STORE_RESEND_WAIT, n) && apply_unheld(store, key, &dropped);
}

bool resend_again(struct store *store, int64_t n, const struct record_key *key, bool offered,
                  const struct answer *answer)
{
    if (base_is_lost(answer) && !run_for_entry(store, STORE_RESEND_OVER, n))
        return false;
    if (offered && answer->reason == REASON_PARENT_MISSING && !wait_for_parent(store, n, key))
        return false;
    return resend_offer_lost(store, key, answer);
}

/* The row is what it was; base and held are what the server has. */
static bool reject_row(struct store *store, const struct record_key *key,
                       const struct answer *answer, uint64_t held_stamp)
{
    const struct image *now = answer->record;
    sqlite3_stmt *mark;

    if (held_stamp != 0)
        store_sum_remove(store, key, held_stamp);
    if (image_living(now))
        store_sum_add(store, key, now->stamp);
    store->pending_any = true;
    mark = store_statement(store, STORE_PENDING_PUT);
    store_bind_key(mark, key);
    if (!store_run(store, mark) || !image_write_held(store, key, now) ||
        (image_living(now) && !image_write_base(store, key, now)))
        return false;
    mark = store_statement(store, STORE_REJECTED_PUT);
    store_bind_key(mark, key);
    if (mark != NULL) {
        sqlite3_bind_int64(mark, 4, answer->reason);
        sqlite3_bind_int64(mark, 5, answer->field);
        sqlite3_bind_int64(mark, 6, STORE_PENDING_FIRST_GENERATION);
    }
    return store_run(store, mark);
}

bool resend_refused(struct store *store, const struct record_key *key, const struct answer *answer,
                    bool *taken_out)
{
    struct image row;
    int64_t generation;
    bool pending, good;

    *taken_out = false;
    if (store_table(store, key->type) == NULL)
        return true;
    image_init(&row);
    good = image_pending(store, key, &pending, &generation) && image_read_row(store, key, &row);
    *taken_out =
        good && !pending && row.present && !row.oversize && !image_same(&row, answer->record);
    if (*taken_out)
        good = reject_row(store, key, answer, row.stamp);
    image_deinit(&row);
    return good;
}

bool resend_journal(struct store *store)
{
    return store_run(store, store_statement(store, STORE_RESEND_JOURNAL));
}

bool resend_mark(struct store *store, struct resend_mark *mark_out)
{
    sqlite3_stmt *statement = store_statement(store, STORE_RESEND_MARK);
    enum store_step step = store_step(store, statement);

    if (step == STORE_ROW) {
        mark_out->count = sqlite3_column_int64(statement, 0);
        mark_out->last = sqlite3_column_int64(statement, 1);
    }
    sqlite3_reset(statement);
    return step == STORE_ROW;
}
