/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"

#include "peek.h"

#include <openssl/sha.h>
#include <stdlib.h>

enum {
    REQUEST_PUSH = 2,
    RESPONSE_PUSH_RESULT = 2,
    PUSH_ITEMS = 1,
    ITEM_MUTATION = 1,
    RESULT_ANSWERS = 1,
    ANSWER_STATUS = 1,
    ANSWER_REASON = 2,
    MUTATION_FAMILY = 1,
    MUTATION_ID = 2,
    MUTATION_BODY_MIN = 10, /* the number of a body's field is its type's */
    STATUS_RETRY = 5,
    LINE_MAX_EDITS = 1000, /* of one line of edits: ends a walk over damaged ones */
};

bool ledger_init(struct ledger *ledger)
{
    *ledger = (struct ledger){
        .edits = calloc(LEDGER_EDITS_MAX, sizeof *ledger->edits),
        .answers = calloc(LEDGER_ANSWERS_MAX, sizeof *ledger->answers),
        .edit_count = 1,
    };
    return ledger->edits != NULL && ledger->answers != NULL;
}

void ledger_deinit(struct ledger *ledger)
{
    free(ledger->edits);
    free(ledger->answers);
}

void ledger_clear(struct ledger *ledger)
{
    memset(ledger->edits, 0, ledger->edit_count * sizeof *ledger->edits);
    ledger->edit_count = 1;
    ledger->answer_count = 0;
    ledger->backup_at = 0;
    ledger->overflow = NULL;
    ledger->answered = NULL;
}

/* ---- Edits ------------------------------------------------------------------------ */

uint32_t ledger_value(struct ledger *ledger)
{
    if (ledger->edit_count == LEDGER_EDITS_MAX) {
        ledger->overflow = "edits";
        return LEDGER_EDITS_MAX - 1;
    }
    return ledger->edit_count++;
}

void ledger_wrote(struct ledger *ledger, uint32_t n, int phone, const struct record_key *key,
                  uint32_t group, uint32_t seen)
{
    ledger->edits[n] =
        (struct ledger_edit){.key = *key, .group = group, .seen = seen, .phone = phone};
}

void ledger_over(struct ledger *ledger, uint32_t n)
{
    if (n < ledger->edit_count)
        ledger->edits[n].over = true;
}

const struct ledger_edit *ledger_edit_of(const struct ledger *ledger, uint32_t n)
{
    return n > 0 && n < ledger->edit_count ? &ledger->edits[n] : NULL;
}

bool ledger_had_seen(const struct ledger *ledger, uint32_t n, uint32_t other)
{
    for (int i = 0; n != 0 && n < ledger->edit_count && i < LINE_MAX_EDITS; i++) {
        n = ledger->edits[n].seen;
        if (n == other)
            return true;
    }
    return other == 0;
}

/* ---- Answers ------------------------------------------------------------------------ */

static struct record_key key_in(const struct peek_field *mutation)
{
    struct peek fields = peek_over(mutation->data, mutation->len);
    struct record_key key = {0};
    struct peek_field field;

    while (peek_next(&fields, &field)) {
        if (field.number == MUTATION_FAMILY && field.len == RECORD_UUID_LEN)
            memcpy(key.family.bytes, field.data, RECORD_UUID_LEN);
        else if (field.number == MUTATION_ID && field.len == RECORD_UUID_LEN)
            memcpy(key.id.bytes, field.data, RECORD_UUID_LEN);
        else if (field.number >= MUTATION_BODY_MIN && field.data != NULL)
            key.type = field.number;
    }
    return key;
}

void ledger_request(struct ledger *ledger, struct ledger_stream *stream, struct rpc_bytes message)
{
    struct peek_field push, item, mutation;
    uint8_t hash[SHA256_DIGEST_LENGTH];

    if (!peek_find(message.data, message.len, REQUEST_PUSH, &push))
        return;
    if (stream->count == LEDGER_FLIGHTS_MAX) {
        ledger->overflow = "flights";
        return;
    }
    struct ledger_flight *flight =
        &stream->flights[(stream->first + stream->count++) % LEDGER_FLIGHTS_MAX];
    struct peek items = peek_over(push.data, push.len);
    flight->count = 0;
    while (peek_next(&items, &item)) {
        if (item.number != PUSH_ITEMS || !peek_find(item.data, item.len, ITEM_MUTATION, &mutation))
            continue;
        if (flight->count == LEDGER_PUSH_ITEMS_MAX) {
            ledger->overflow = "items of a push";
            return;
        }
        SHA256(mutation.data, mutation.len, hash);
        memcpy(flight->ids[flight->count], hash, 16);
        flight->keys[flight->count++] = key_in(&mutation);
    }
}

void ledger_response(struct ledger *ledger, struct ledger_stream *stream, struct rpc_bytes message)
{
    struct peek_field result, answer, status, reason;
    size_t at = 0;

    if (!peek_find(message.data, message.len, RESPONSE_PUSH_RESULT, &result) || stream->count == 0)
        return;
    const struct ledger_flight *flight = &stream->flights[stream->first];
    struct peek answers = peek_over(result.data, result.len);
    stream->first = (stream->first + 1) % LEDGER_FLIGHTS_MAX;
    stream->count--;
    while (at < flight->count && peek_next(&answers, &answer)) {
        if (answer.number != RESULT_ANSWERS)
            continue;
        bool given = peek_find(answer.data, answer.len, ANSWER_STATUS, &status);
        struct ledger_answer *noted = &ledger->answers[ledger->answer_count];
        noted->status = given ? (unsigned)status.value : 0;
        given = peek_find(answer.data, answer.len, ANSWER_REASON, &reason);
        if (ledger->answered != NULL)
            ledger->answered(ledger->context, &flight->keys[at], noted->status,
                             given ? (unsigned)reason.value : 0);
        memcpy(noted->id, flight->ids[at++], sizeof noted->id);
        memcpy(noted->region, stream->region, sizeof noted->region);
        noted->forgotten = false;
        if (noted->status == STATUS_RETRY)
            continue;
        if (ledger->answer_count + 1 == LEDGER_ANSWERS_MAX)
            ledger->overflow = "answers";
        else
            ledger->answer_count++;
    }
}

void ledger_backup(struct ledger *ledger)
{
    ledger->backup_at = ledger->answer_count;
}

void ledger_restore(struct ledger *ledger)
{
    for (size_t i = ledger->backup_at; i < ledger->answer_count; i++)
        ledger->answers[i].forgotten = true;
}
