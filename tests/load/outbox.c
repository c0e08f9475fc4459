/* SPDX-License-Identifier: Apache-2.0 */
#include "outbox.h"

#include "made.h"

#include "outpost/rpc.h"

#include <stdlib.h>

enum {
    REQUEST_PUSH = 2,
    PUSH_ITEMS = 1,
    ITEM_MUTATION = 1,
    ITEM_HELD_STAMP = 2,
};

/* ---- Making ----------------------------------------------------------------------------- */

static void encode(const struct pool_entity *entity, const struct pool_version *base,
                   const struct made_body *made, struct rpc_buffer *scratch)
{
    struct record_mutation mutation = {
        .key = entity->key,
        .base_version = base != NULL ? base->number : 0,
        .base_stamp = base != NULL ? base->stamp : 0,
        .field_count = made->field_count,
        .body = rpc_buffer_view(&made->body),
    };

    memcpy(mutation.fields, made->fields, made->field_count * sizeof *made->fields);
    rpc_buffer_clear(scratch);
    record_mutation_encode(&mutation, scratch);
}

/* The record as the edit leaves it: what it was made on, the named fields replaced. */
static struct pool_version *edited(struct pool *pool, struct pool_entity *entity,
                                   const struct pool_version *on, const uint32_t *fields,
                                   size_t field_count, struct rpc_bytes values)
{
    struct record_body body = {0}, edit;
    struct rpc_buffer encoded;

    rpc_buffer_init(&encoded, RECORD_BODY_BYTES_MAX);
    if ((on != NULL && !record_body_parse(pool_body(on), &body)) ||
        !record_body_parse(values, &edit))
        abort(); /* the one was taken, the other made */
    for (size_t i = 0; i < field_count; i++) {
        const struct wire_field *field = record_body_find(&edit, fields[i]);
        if (field != NULL)
            (void)record_body_set(&body, field); /* far from RECORD_FIELDS_MAX */
        else
            record_body_remove(&body, fields[i]);
    }
    record_body_encode(&body, &encoded);
    struct pool_version *made =
        pool_hold(pool, entity, on != NULL ? on->number + 1 : 1, false, rpc_buffer_view(&encoded));
    rpc_buffer_deinit(&encoded);
    return made;
}

struct pool_version *outbox_applied(struct pool *pool, const struct mutation *mutation,
                                    const struct pool_version *held)
{
    struct record_mutation edit;

    if (!record_mutation_parse(rpc_bytes_view(mutation->bytes, mutation->len), &edit))
        abort(); /* it was encoded here */
    struct pool_version *now =
        edited(pool, mutation->entity, held, edit.fields, edit.field_count, edit.body);
    if (now->written_us < 0) {
        now->written_us = mutation->written_us;
        now->author = mutation->expected->author;
    }
    return now;
}

struct mutation *outbox_add(struct outbox *outbox, struct pool *pool, struct pool_entity *entity,
                            const struct pool_version *base, const struct made_body *made,
                            struct rpc_buffer *scratch)
{
    encode(entity, base, made, scratch);
    struct mutation *mutation = malloc(sizeof *mutation + scratch->len);
    if (mutation == NULL || scratch->failed)
        abort();
    *mutation = (struct mutation){
        .entity = entity,
        .expected = edited(pool, entity, base, made->fields, made->field_count,
                           rpc_buffer_view(&made->body)),
        .written_us = -1,
        .len = (uint32_t)scratch->len,
    };
    memcpy(mutation->bytes, scratch->data, scratch->len);
    if (outbox->first == NULL)
        outbox->first = mutation;
    else
        outbox->last->next = mutation;
    outbox->last = mutation;
    outbox->count++;
    return mutation;
}

static void free_mutation(struct pool *pool, struct mutation *mutation)
{
    pool_release(pool, mutation->expected);
    free(mutation);
}

void outbox_clear(struct outbox *outbox, struct pool *pool)
{
    for (struct mutation *mutation = outbox->first, *next; mutation != NULL; mutation = next) {
        next = mutation->next;
        free_mutation(pool, mutation);
    }
    *outbox = (struct outbox){0};
}

bool outbox_has(const struct outbox *outbox, const struct pool_entity *entity)
{
    const struct mutation *mutation = outbox->first;

    while (mutation != NULL && mutation->entity != entity)
        mutation = mutation->next;
    return mutation != NULL;
}

/* ---- Sending ------------------------------------------------------------------------------ */

void outbox_rewind(struct outbox *outbox)
{
    outbox->unsent = outbox->first;
    outbox->answered_at = &outbox->first;
    outbox->flight_count = 0;
}

bool outbox_next_push(struct outbox *outbox, uint32_t items,
                      uint64_t (*held_stamp)(void *context, const struct pool_entity *entity),
                      void *context, struct rpc_buffer *message)
{
    struct rpc_buffer push, item;
    uint32_t count = 0;

    if (outbox->unsent == NULL || outbox->flight_count == OUTBOX_FLIGHTS_MAX)
        return false;
    rpc_buffer_init(&push, RPC_MESSAGE_BYTES_MAX);
    rpc_buffer_init(&item, RECORD_ENVELOPE_BYTES_MAX);
    for (; outbox->unsent != NULL && count < items && push.len < OUTBOX_PUSH_BYTES_MAX; count++) {
        struct mutation *mutation = outbox->unsent;
        rpc_buffer_clear(&item);
        wire_put_message(&item, ITEM_MUTATION, rpc_bytes_view(mutation->bytes, mutation->len));
        wire_put_fixed64(&item, ITEM_HELD_STAMP, held_stamp(context, mutation->entity));
        wire_put_message(&push, PUSH_ITEMS, rpc_buffer_view(&item));
        mutation->times_sent++;
        outbox->unsent = mutation->next;
    }
    outbox->flights[outbox->flight_count++] = count;
    wire_put_message(message, REQUEST_PUSH, rpc_buffer_view(&push));
    if (push.failed || message->failed)
        abort();
    rpc_buffer_deinit(&item);
    rpc_buffer_deinit(&push);
    return true;
}

/* ---- Answers -------------------------------------------------------------------------------- */

struct mutation *outbox_answered(struct outbox *outbox)
{
    return outbox->flight_count > 0 && outbox->flights[0] > 0 ? *outbox->answered_at : NULL;
}

/* One answer of the oldest push; an answered push makes place for another. */
static void pass_answer(struct outbox *outbox)
{
    if (--outbox->flights[0] > 0)
        return;
    outbox->flight_count--;
    memmove(outbox->flights, outbox->flights + 1, outbox->flight_count * sizeof *outbox->flights);
}

void outbox_done(struct outbox *outbox, struct pool *pool)
{
    struct mutation *mutation = *outbox->answered_at;

    *outbox->answered_at = mutation->next;
    if (outbox->last == mutation) {
        outbox->last = NULL;
        for (struct mutation *at = outbox->first; at != NULL; at = at->next)
            outbox->last = at;
    }
    outbox->count--;
    free_mutation(pool, mutation);
    pass_answer(outbox);
}

void outbox_keep(struct outbox *outbox)
{
    outbox->answered_at = &(*outbox->answered_at)->next;
    pass_answer(outbox);
}
