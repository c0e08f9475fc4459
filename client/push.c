/* SPDX-License-Identifier: Apache-2.0
 *
 * The outbox on the wire, both ways; see push.h. The field numbers below are
 * those of proto/outpost/v1/sync.proto: these messages carry record bytes as they
 * are, so they are read and written at wire level.
 */
#include "push.h"

#include "applied.h"
#include "apply.h"
#include "aside.h"
#include "resend.h"

#include "outpost/rpc.h"

enum {
    REQUEST_PUSH = 2,
    PUSH_ITEMS = 1,
    ITEM_MUTATION = 1,
    ITEM_HELD_STAMP = 2,
    ITEM_ACKNOWLEDGED_VERSION = 3,
    RESULT_ANSWERS = 1,
    RESULT_RECEIPT = 2,
    RESULT_CURSOR = 3,
    ANSWER_FIELD_STATUS = 1,
    ANSWER_FIELD_REASON = 2,
    ANSWER_FIELD_FIELD = 3,
    ANSWER_FIELD_RECORD = 4,
    REASON_NOT_YOURS = 7,
    REASON_NOT_ADMIN = 8,
    REASON_PARENT_MISSING = 32,
};

/* ---- Sending ------------------------------------------------------------------------- */

static bool put_item(struct store *store, sqlite3_stmt *entry, bool in_outbox,
                     struct rpc_buffer *item, struct rpc_buffer *push)
{
    struct record_key key = {.type = (uint32_t)sqlite3_column_int64(entry, 2),
                             .family = store_column_uuid(entry, 3),
                             .id = store_column_uuid(entry, 4)};
    uint64_t stamp;

    if (!(in_outbox ? image_sealed_stamp(store, &key, &stamp)
                    : image_held_stamp(store, &key, &stamp)))
        return false;
    rpc_buffer_clear(item);
    wire_put_message(item, ITEM_MUTATION, store_column_bytes(entry, 5));
    wire_put_fixed64(item, ITEM_HELD_STAMP, stamp);
    wire_put_uint(item, ITEM_ACKNOWLEDGED_VERSION, (uint64_t)sqlite3_column_int64(entry, 6));
    wire_put_buffer(push, PUSH_ITEMS, item);
    return (!item->failed && !push->failed) || store_fail(store, OUTPOST_IO, "no memory");
}

struct push_position push_position_start(void)
{
    return (struct push_position){
        .in_outbox = false, .rank = INT64_MIN, .n = INT64_MIN, .end = INT64_MAX};
}

static sqlite3_stmt *entries_after(struct store *store, const struct push_position *position)
{
    sqlite3_stmt *entry =
        store_statement(store, position->in_outbox ? STORE_OUTBOX_AFTER : STORE_RESEND_AFTER);

    if (entry != NULL) {
        sqlite3_bind_int64(entry, 1, position->rank);
        sqlite3_bind_int64(entry, 2, position->n);
    }
    if (entry != NULL && position->in_outbox)
        sqlite3_bind_int64(entry, 3, position->end);
    return entry;
}

static bool fill_push(struct store *store, struct push_position *position,
                      const struct push_limits *limits, struct push_flight *flight,
                      struct rpc_buffer *push)
{
    sqlite3_stmt *entry = entries_after(store, position);
    struct rpc_buffer item;
    bool good = entry != NULL;

    rpc_buffer_init(&item, RECORD_ENVELOPE_BYTES_MAX + 64);
    while (good && flight->count < limits->items && flight->count < PUSH_ITEMS_MAX &&
           push->len < limits->bytes) {
        enum store_step step = store_step(store, entry);
        if (step != STORE_ROW) {
            good = step == STORE_DONE;
            break;
        }
        good = put_item(store, entry, position->in_outbox, &item, push);
        position->n = sqlite3_column_int64(entry, 0);
        flight->entries[flight->count++] = position->in_outbox ? position->n : -position->n;
        position->rank = sqlite3_column_int64(entry, 1);
    }
    sqlite3_reset(entry);
    rpc_buffer_deinit(&item);
    return good;
}

bool push_more(struct store *store, struct push_position *position, bool *more_out)
{
    for (;;) {
        sqlite3_stmt *entry = entries_after(store, position);
        enum store_step step = store_step(store, entry);
        sqlite3_reset(entry);
        *more_out = step == STORE_ROW;
        if (step != STORE_DONE || position->in_outbox)
            return step != STORE_FAILED;
        int64_t end = position->end;
        *position = push_position_start();
        position->in_outbox = true;
        position->end = end;
    }
}

bool push_ahead(struct store *store, const struct push_position *position, uint32_t most,
                uint32_t *count_out)
{
    sqlite3_stmt *ahead = store_statement(store, STORE_OUTBOX_AHEAD);

    if (ahead != NULL) {
        sqlite3_bind_int64(ahead, 1, position->in_outbox ? position->n : INT64_MIN);
        sqlite3_bind_int64(ahead, 2, position->end);
        sqlite3_bind_int64(ahead, 3, most);
    }
    *count_out = 0;
    if (store_step(store, ahead) == STORE_ROW)
        *count_out = (uint32_t)sqlite3_column_int64(ahead, 0);
    sqlite3_reset(ahead);
    return store_ok(store);
}

bool push_next(struct store *store, struct push_position *position,
               const struct push_limits *limits, struct push_flight *flight,
               struct rpc_buffer *message)
{
    struct rpc_buffer push;
    bool good;

    flight->count = 0;
    rpc_buffer_init(&push, RPC_MESSAGE_BYTES_MAX);
    good = store_begin_read(store) && fill_push(store, position, limits, flight, &push);
    store_end_read(store);
    flight->len = push.len;
    if (good) {
        wire_put_buffer(message, REQUEST_PUSH, &push);
        good = !message->failed || store_fail(store, OUTPOST_IO, "no memory");
    }
    rpc_buffer_deinit(&push);
    return good;
}

/* ---- Answers --------------------------------------------------------------------------- */

/* What answers are applied with; made once for a PushResult. */
struct answering {
    struct store *store;
    int64_t now_ms;
    struct outpost_sync_result *result;
    struct sealed sealed;
    struct image record;
    struct applied_run run;
};

static bool load_sealed(struct answering *answering, int64_t n, bool *found_out)
{
    struct store *store = answering->store;
    struct sealed *sealed = &answering->sealed;
    sqlite3_stmt *statement = store_statement(store, STORE_OUTBOX_BY_N);
    struct record_mutation mutation;
    struct rpc_bytes body;
    enum store_step step;

    if (statement != NULL)
        sqlite3_bind_int64(statement, 1, n);
    step = store_step(store, statement);
    *found_out = step == STORE_ROW;
    if (step != STORE_ROW)
        return step == STORE_DONE;
    sealed->n = n;
    sealed->key.type = (uint32_t)sqlite3_column_int64(statement, 0);
    sealed->key.family = store_column_uuid(statement, 1);
    sealed->key.id = store_column_uuid(statement, 2);
    rpc_buffer_clear(&sealed->mutation);
    rpc_buffer_append_bytes(&sealed->mutation, store_column_bytes(statement, 3));
    image_clear(&sealed->image);
    sealed->image.present = !sqlite3_column_int(statement, 4);
    body = store_column_bytes(statement, 5);
    if (body.len == 0 && record_mutation_parse(rpc_buffer_view(&sealed->mutation), &mutation))
        body = mutation.body;
    rpc_buffer_append_bytes(&sealed->image.body, body);
    sealed->generation = sqlite3_column_int64(statement, 6);
    sqlite3_reset(statement);
    return (!sealed->mutation.failed && !sealed->image.body.failed) ||
           store_fail(store, OUTPOST_BAD_INPUT, "an outbox entry is damaged");
}

static bool malformed(struct store *store)
{
    return store_fail(store, OUTPOST_BUG, "the server sent a malformed answer: report it");
}

static bool take_record(struct answering *answering, struct rpc_bytes bytes, struct answer *answer,
                        struct record_key *key_out)
{
    struct record_image image;

    if (!record_image_parse(bytes, &image) ||
        !image_take(&answering->record, answering->store->hasher, &image))
        return malformed(answering->store);
    *key_out = image.key;
    answer->record = &answering->record;
    return true;
}

static bool parse_answer(struct answering *answering, struct rpc_bytes bytes, struct answer *answer,
                         struct record_key *key_out)
{
    struct wire_reader reader = wire_reader_over(bytes);
    struct wire_field field;
    enum wire_status status;

    image_clear(&answering->record);
    *answer = (struct answer){.record = &answering->record};
    while ((status = wire_read(&reader, &field)) == WIRE_FIELD) {
        if (field.number == ANSWER_FIELD_RECORD) {
            if (field.type != WIRE_LEN || !take_record(answering, field.bytes, answer, key_out))
                return malformed(answering->store);
        } else if (field.number == ANSWER_FIELD_STATUS)
            answer->status = (enum answer_status)field.value;
        else if (field.number == ANSWER_FIELD_REASON)
            answer->reason = (uint32_t)field.value;
        else if (field.number == ANSWER_FIELD_FIELD)
            answer->field = (uint32_t)field.value;
    }
    if (status != WIRE_END || (unsigned)answer->status > ANSWER_RETRY)
        return malformed(answering->store);
    return true;
}

static bool to_journal(struct answering *answering, int64_t n)
{
    struct store *store = answering->store;
    sqlite3_stmt *put = store_statement(store, STORE_JOURNAL_PUT);
    sqlite3_stmt *remove = store_statement(store, STORE_OUTBOX_DELETE);

    if (put == NULL || remove == NULL)
        return false;
    sqlite3_bind_int64(put, 1, n);
    sqlite3_bind_int64(put, 2, n);
    sqlite3_bind_int64(put, 3, answering->now_ms);
    sqlite3_bind_int(put, 4, 0);
    sqlite3_bind_int64(remove, 1, n);
    return store_run(store, put) && store_run(store, remove);
}

static void count(struct outpost_sync_result *result, enum answer_status status)
{
    result->pushed += status != ANSWER_RETRY;
    result->retried += status == ANSWER_RETRY;
    result->conflicts += status == ANSWER_MERGED;
    result->quarantined += status == ANSWER_QUARANTINED;
}

/* R14: a new record without its parent on the server, which its user has deleted
 * again, is nowhere else: it would wait for a parent for ever, and goes instead. */
static bool drop_if_undone(struct answering *answering)
{
    struct store *store = answering->store;
    const struct sealed *sealed = &answering->sealed;
    sqlite3_stmt *remove = store_statement(store, STORE_OUTBOX_DELETE);
    struct record_mutation mutation;
    struct image row, held;
    bool good;

    image_init(&row);
    image_init(&held);
    good = remove != NULL && image_read_row(store, &sealed->key, &row) &&
           image_read_held(store, &sealed->key, &held);
    if (good && !row.present && !held.present &&
        record_mutation_parse(rpc_buffer_view(&sealed->mutation), &mutation) &&
        mutation.base_version == 0) {
        sqlite3_bind_int64(remove, 1, sealed->n);
        good = store_run(store, remove) && apply_clean(store, &sealed->key, &held, false);
    }
    image_deinit(&held);
    image_deinit(&row);
    return good;
}

/* What was sent again. */
struct resent {
    struct record_key key;
    bool acknowledged; /* it had been accepted once; else an offer, or never accepted */
    bool offered;
};

static bool load_resent(struct answering *answering, int64_t n, struct resent *resent,
                        bool *found_out)
{
    struct store *store = answering->store;
    struct rpc_buffer *mutation = &answering->sealed.mutation;
    sqlite3_stmt *statement = store_statement(store, STORE_RESEND_BY_N);
    enum store_step step;

    if (statement != NULL)
        sqlite3_bind_int64(statement, 1, n);
    step = store_step(store, statement);
    *found_out = step == STORE_ROW;
    if (*found_out) {
        resent->key.type = (uint32_t)sqlite3_column_int64(statement, 0);
        resent->key.family = store_column_uuid(statement, 1);
        resent->key.id = store_column_uuid(statement, 2);
        resent->acknowledged = sqlite3_column_int64(statement, 4) != 0;
        resent->offered = sqlite3_column_int64(statement, 5) != 0;
        rpc_buffer_clear(mutation);
        rpc_buffer_append_bytes(mutation, store_column_bytes(statement, 3));
    }
    sqlite3_reset(statement);
    return step != STORE_FAILED &&
           (!mutation->failed || store_fail(store, OUTPOST_IO, "no memory"));
}

/* I6, R7: what the server keeps in quarantine is marked here. Not what this device has no
 * right to any more, and only offered; and what was refused before has its mark, or was
 * corrected since. */
static bool marks_refusal(const struct resent *resent, const struct answer *answer)
{
    return answer->status == ANSWER_QUARANTINED &&
           (resent->acknowledged || (resent->offered && answer->reason != REASON_NOT_YOURS &&
                                     answer->reason != REASON_NOT_ADMIN));
}

static bool note_resent(struct answering *answering, const struct record_key *key)
{
    struct store *store = answering->store;
    sqlite3_stmt *put = store_statement(store, STORE_RESENT_PUT);
    sqlite3_stmt *trim = store_statement(store, STORE_RESENT_TRIM);

    store_bind_key(put, key);
    if (put == NULL || trim == NULL)
        return false;
    sqlite3_bind_int64(put, 4, answering->now_ms);
    sqlite3_bind_int64(trim, 1, answering->now_ms);
    return store_run(store, trim) && store_run(store, put);
}

/* An answer to what was sent again: the record as it now is, or that it has no
 * place on the server, and then none here (R22). */
static bool apply_resent(struct answering *answering, int64_t n, const struct answer *answer)
{
    struct store *store = answering->store;
    sqlite3_stmt *remove = store_statement(store, STORE_RESEND_DELETE);
    struct resent resent;
    uint64_t dropped = 0;
    bool found, taken = false;

    if (!load_resent(answering, n, &resent, &found))
        return false;
    if (!found)
        return true;
    if (answer->status == ANSWER_RETRY)
        return resend_again(store, n, &resent.key, resent.offered, answer);
    if (remove != NULL)
        sqlite3_bind_int64(remove, 1, n);
    if (!store_run(store, remove) || !note_resent(answering, &resent.key) ||
        (marks_refusal(&resent, answer) && !resend_refused(store, &resent.key, answer, &taken)))
        return false;
    if (taken)
        return true;
    if (answer->status < ANSWER_QUARANTINED && !apply_family_present(store, &resent.key.family))
        return false;
    if (answer->status == ANSWER_APPLIED)
        return apply_applied(store, &resent.key, rpc_buffer_view(&answering->sealed.mutation));
    if (answer->record->present)
        return apply_take(store, &resent.key, answer->record);
    if (answer->status == ANSWER_OUT_OF_SCOPE)
        return aside_keep(store, &resent.key) &&
               apply_family_left(store, &resent.key.family, &dropped);
    return apply_unheld(store, &resent.key, &dropped);
}

static bool apply_one(struct answering *answering, int64_t n, struct rpc_bytes bytes)
{
    struct answer answer;
    struct record_key key;
    bool found;

    if (n < 0)
        return parse_answer(answering, bytes, &answer, &key) &&
               apply_resent(answering, -n, &answer);

    if (!parse_answer(answering, bytes, &answer, &key) || !load_sealed(answering, n, &found))
        return false;
    /* Another handle on this database had the answer already. */
    if (!found)
        return !answering->record.present || apply_take(answering->store, &key, &answering->record);
    if (answering->record.present && record_key_compare(&key, &answering->sealed.key) != 0)
        return malformed(answering->store);
    count(answering->result, answer.status);
    if (answer.status == ANSWER_RETRY)
        return resend_offer_lost(answering->store, &answering->sealed.key, &answer) &&
               (answer.reason != REASON_PARENT_MISSING || drop_if_undone(answering));
    return to_journal(answering, n) && apply_answer(answering->store, &answering->sealed, &answer);
}

static bool apply_run(struct answering *answering)
{
    struct applied_run *run = &answering->run;

    while (run->count > 0) {
        size_t taken;
        if (!applied_take(answering->store, run, answering->now_ms, &taken))
            return false;
        answering->result->pushed += taken;
        run->first += (int64_t)taken;
        run->count -= taken;
        if (taken > 0 || run->count == 0)
            continue;
        if (!apply_one(answering, run->first, rpc_bytes_view(NULL, 0)))
            return false;
        run->first++;
        run->count--;
    }
    return true;
}

/* `applied` is an empty message: those in a row are taken together. */
static bool apply_next(struct answering *answering, int64_t n, struct rpc_bytes bytes)
{
    struct applied_run *run = &answering->run;
    bool applied = n > 0 && bytes.len == 0;

    if (applied && run->count > 0 && n == run->first + (int64_t)run->count) {
        run->count++;
        return true;
    }
    if (!apply_run(answering))
        return false;
    if (!applied)
        return apply_one(answering, n, bytes);
    *run = (struct applied_run){.first = n, .count = 1};
    return true;
}

static bool apply_answers(struct answering *answering, const struct push_flight *flight,
                          struct rpc_bytes push_result)
{
    struct wire_reader reader = wire_reader_over(push_result);
    struct wire_field field;
    enum wire_status status;
    size_t answered = 0;

    while ((status = wire_read(&reader, &field)) == WIRE_FIELD) {
        if (field.number != RESULT_ANSWERS)
            continue;
        if (field.type != WIRE_LEN || answered == flight->count)
            return malformed(answering->store);
        if (!apply_next(answering, flight->entries[answered++], field.bytes))
            return false;
    }
    if (status != WIRE_END || answered != flight->count)
        return malformed(answering->store);
    return apply_run(answering);
}

static bool keep(struct store *store, struct rpc_bytes push_result, uint32_t number,
                 enum store_statement which)
{
    struct wire_field field;

    switch (wire_find(push_result, number, &field)) {
    case WIRE_FIELD:
        return field.type == WIRE_LEN ? store_put_bytes(store, which, field.bytes)
                                      : malformed(store);
    case WIRE_END:
        return true;
    case WIRE_MALFORMED:
        break;
    }
    return malformed(store);
}

bool push_apply_result(struct store *store, const struct push_flight *flight,
                       struct rpc_bytes push_result, int64_t now_ms,
                       struct outpost_sync_result *result)
{
    struct answering answering = {.store = store, .now_ms = now_ms, .result = result};
    bool good;

    image_init(&answering.record);
    image_init(&answering.sealed.image);
    rpc_buffer_init(&answering.sealed.mutation, RECORD_ENVELOPE_BYTES_MAX);
    good = apply_answers(&answering, flight, push_result) &&
           apply_purge_left(store, &result->withdrawn) &&
           keep(store, push_result, RESULT_RECEIPT, STORE_STATE_RECEIPT_SET) &&
           keep(store, push_result, RESULT_CURSOR, STORE_STATE_CURSOR_SET);
    rpc_buffer_deinit(&answering.sealed.mutation);
    image_deinit(&answering.sealed.image);
    image_deinit(&answering.record);
    return good;
}
