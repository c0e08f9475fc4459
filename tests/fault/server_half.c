/* SPDX-License-Identifier: Apache-2.0
 *
 * See server_half.h.
 */
#include "server_half.h"

#include "stream_state.h"

#include "outpost/v1/schema.gen.h"

#include <stdio.h>
#include <stdlib.h>

enum { QUEUE_MAX = 256 };

struct server_half {
    struct server_half_options options;
    struct store *store;
    struct record_hasher *hasher;
    struct stream_service service;
    struct stream *stream;
    struct rpc_buffer queue[QUEUE_MAX]; /* messages that left, oldest first */
    size_t queue_first, queue_end;
};

/* ---- The service and the stream's other end ------------------------------------------ */

static int64_t service_time_ms(void *context)
{
    return ((struct server_half *)context)->options.now_ms;
}

static void service_random(void *context, uint8_t *bytes, size_t len)
{
    struct server_half *half = context;

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)((half->options.seed =
                                  half->options.seed * UINT64_C(6364136223846793005) + 1) >>
                             56);
}

static void peer_send(void *context, struct rpc_bytes message)
{
    struct server_half *half = context;

    if (!half->options.leaves(half->options.context, message))
        return;
    if (half->queue_end == QUEUE_MAX)
        abort();
    struct rpc_buffer *entry = &half->queue[half->queue_end++];
    rpc_buffer_init(entry, MESSAGE_BYTES_MAX);
    rpc_buffer_append_bytes(entry, message);
}

static bool peer_writable(void *context)
{
    (void)context;
    return true;
}

static void peer_nothing(void *context)
{
    (void)context;
}

static void peer_finish(void *context, struct rpc_status status)
{
    (void)context; /* the device's session tells whether it was through */
    (void)status;
}

/* ---- Life ------------------------------------------------------------------------------ */

struct server_half *server_half_open(const struct server_half_options *options,
                                     char error_out[SERVER_HALF_ERROR_LEN])
{
    struct server_half *half = calloc(1, sizeof *half);
    struct store_options store_options = {0};
    struct rpc_status status;

    if (half == NULL)
        abort();
    half->options = *options;
    half->hasher = record_hasher_new();
    if (half->hasher == NULL || !scope_roles_find(&outpost_v1_schema, &half->service.roles))
        abort();
    store_options.roles = half->service.roles;
    status = options->steps != NULL
                 ? store_sqlite_open_stepped(options->path, options->create, &store_options,
                                             options->steps, &half->store)
                 : store_sqlite_open(options->path, options->create, &store_options, &half->store);
    if (!rpc_ok(&status)) {
        snprintf(error_out, SERVER_HALF_ERROR_LEN, "open: %s", status.message);
        record_hasher_free(half->hasher);
        free(half);
        return NULL;
    }
    half->service.store = half->store;
    settings_init_default(&half->service.settings);
    half->service.settings.push_batch = SERVER_HALF_BATCH;
    half->service.settings.pull_batch = SERVER_HALF_BATCH;
    half->service.hasher = half->hasher;
    half->service.time_ms = service_time_ms;
    half->service.random = service_random;
    half->service.context = half;
    return half;
}

void server_half_close(struct server_half *half)
{
    if (half == NULL)
        return;
    server_half_end(half);
    store_close(half->store);
    record_hasher_free(half->hasher);
    free(half);
}

struct store *server_half_store(struct server_half *half)
{
    return half->store;
}

/* ---- One stream ------------------------------------------------------------------------ */

static void await_store(struct server_half *half)
{
    while (half->stream->owed > 0) {
        half->store->engine->wait(half->store);
        store_drain(half->store);
    }
}

void server_half_begin(struct server_half *half, const struct record_uuid *device_id)
{
    struct stream_peer peer = {
        .send = peer_send,
        .writable = peer_writable,
        .pause_reading = peer_nothing,
        .resume_reading = peer_nothing,
        .finish = peer_finish,
        .context = half,
    };

    half->stream = stream_new(&half->service, &peer, device_id);
    if (half->stream == NULL)
        abort();
}

void server_half_message(struct server_half *half, struct rpc_bytes message)
{
    stream_on_message(half->stream, message);
    await_store(half);
}

void server_half_half_close(struct server_half *half)
{
    stream_on_half_close(half->stream);
    await_store(half);
}

bool server_half_take(struct server_half *half, struct rpc_bytes *message_out)
{
    if (half->queue_first == half->queue_end)
        return false;
    *message_out = rpc_buffer_view(&half->queue[half->queue_first++]);
    return true;
}

void server_half_end(struct server_half *half)
{
    if (half->stream != NULL) {
        /* What it still asks as it ends (stream_note) is awaited, too. */
        stream_enter(half->stream);
        stream_on_close(half->stream);
        await_store(half);
        stream_leave(half->stream);
    }
    half->stream = NULL;
    for (size_t i = 0; i < half->queue_end; i++)
        rpc_buffer_deinit(&half->queue[i]);
    half->queue_first = half->queue_end = 0;
}

/* ---- Global records ----------------------------------------------------------------------- */

static bool add_global(struct push_batch *batch, struct record_hasher *hasher,
                       const struct record_type *type, const struct record_uuid *id,
                       const struct record_uuid *region_id)
{
    struct record_mutation mutation = {.key = {.type = type->number, .id = *id}};
    struct record_body body = {0};
    struct rpc_buffer encoded, bytes;

    for (size_t i = 0; i < type->field_count; i++) {
        const struct record_field *field = &type->fields[i];
        struct wire_field value = {.number = field->number, .type = WIRE_LEN};
        if (!field->required)
            continue;
        value.bytes = field->scope ? rpc_bytes_view(region_id->bytes, RECORD_UUID_LEN)
                                   : rpc_bytes_view("a name", 6);
        if (!record_body_set(&body, &value))
            return false;
        mutation.fields[mutation.field_count++] = field->number;
    }
    rpc_buffer_init(&encoded, RECORD_BODY_BYTES_MAX);
    rpc_buffer_init(&bytes, RECORD_ENVELOPE_BYTES_MAX);
    record_body_encode(&body, &encoded);
    mutation.body = rpc_buffer_view(&encoded);
    record_mutation_encode(&mutation, &bytes);
    bool added = push_batch_add(batch, rpc_buffer_view(&bytes), 0, hasher);
    rpc_buffer_deinit(&bytes);
    rpc_buffer_deinit(&encoded);
    return added;
}

bool server_half_add_facility(struct server_half *half, const struct record_uuid *region_id,
                              const struct record_uuid *facility_id)
{
    struct scope_device itself = {.admin = true};
    const struct scope_roles *roles = &half->service.roles;
    struct store_push push = {.request = {.kind = STORE_PUSH},
                              .batch = push_batch_new(&itself, half->options.now_ms)};

    bool good = push.batch != NULL &&
                add_global(push.batch, half->hasher, roles->region, region_id, region_id) &&
                add_global(push.batch, half->hasher, roles->facility, facility_id, region_id);
    if (good) {
        struct rpc_status status = store_run(half->store, &push.request);
        good = rpc_ok(&status);
        for (size_t i = 0; good && i < push.batch->item_count; i++)
            good = push.batch->items[i].outcome.status <= PUSH_NO_EFFECT;
    }
    push_batch_free(push.batch);
    return good;
}

/* ---- Verify -------------------------------------------------------------------------------- */

struct walk {
    struct server_half *half;
    const struct store_head *head;
    uint64_t seq, living, digest;
    uint8_t hash[AUDIT_HASH_LEN];
    const char *problem; /* NULL: none so far */
};

static void check_entry(struct walk *walk, const struct store_log_entry *logged)
{
    struct record_hasher *hasher = walk->half->hasher;
    struct record_mutation_id id = record_mutation_id(hasher, logged->mutation);
    uint8_t expected[AUDIT_HASH_LEN];

    if (logged->entry.seq != ++walk->seq)
        walk->problem = "the log has a gap";
    if (logged->entry.kind != AUDIT_COPY &&
        memcmp(id.bytes, logged->entry.mutation_id.bytes, sizeof id.bytes) != 0)
        walk->problem = "a mutation is not the one of its id";
    audit_hash(hasher, walk->hash, &logged->entry, expected);
    if (memcmp(expected, logged->hash, sizeof expected) != 0)
        walk->problem = "the hash chain is broken";
    memcpy(walk->hash, logged->hash, sizeof walk->hash);
}

static void walk_log(struct walk *walk)
{
    size_t count;

    do {
        struct store_log_list list = {.request = {.kind = STORE_LOG_LIST},
                                      .region_id = walk->head->region_id,
                                      .after_seq = walk->seq};
        struct rpc_status status = store_run(walk->half->store, &list.request);
        count = rpc_ok(&status) ? list.entry_count : 0;
        if (!rpc_ok(&status))
            walk->problem = "the log cannot be read";
        for (size_t i = 0; i < count; i++)
            check_entry(walk, &list.entries[i]);
        arena_deinit(&list.arena);
    } while (walk->problem == NULL && count == STORE_LIST_ROWS_MAX);
    if (walk->problem == NULL && (walk->seq != walk->head->last.seq ||
                                  memcmp(walk->hash, walk->head->last.hash, AUDIT_HASH_LEN) != 0))
        walk->problem = "the log does not end where the region's counter says";
}

static void check_row(struct walk *walk, const struct store_page *page, const struct store_row *row)
{
    struct wire_reader reader =
        wire_reader_over(rpc_bytes_view(page->encoded.data + row->offset, row->len));
    struct record_image image;
    struct wire_field field;

    if (wire_read(&reader, &field) != WIRE_FIELD || !record_image_parse(field.bytes, &image)) {
        walk->problem = "a record does not parse";
        return;
    }
    uint64_t stamp = record_stamp(walk->half->hasher, image.version, image.deleted, image.body);
    if (stamp != row->stamp)
        walk->problem = "a record is not the one that its stamp names";
    if (image.deleted)
        return;
    walk->living++;
    walk->digest += record_digest_share(image.key.type, &image.key.id, stamp);
}

static void walk_records(struct walk *walk)
{
    uint64_t after_seq = 0;
    bool at_end = false;

    while (walk->problem == NULL && !at_end) {
        struct store_page page = {.request = {.kind = STORE_PAGE},
                                  .region_id = walk->head->region_id,
                                  .after_seq = after_seq,
                                  .rows_max = STORE_PAGE_ROWS_MAX};
        struct rpc_status status = store_run(walk->half->store, &page.request);
        if (!rpc_ok(&status))
            walk->problem = "the records cannot be read";
        for (size_t i = 0; walk->problem == NULL && i < page.row_count; i++)
            check_row(walk, &page, &page.rows[i]);
        at_end = page.at_end;
        after_seq = page.place.seq;
        store_page_deinit(&page);
    }
    if (walk->problem == NULL &&
        (walk->living != walk->head->records || walk->digest != walk->head->digest))
        walk->problem = "count or digest are not those of the records";
}

bool server_half_verify(struct server_half *half, char error_out[SERVER_HALF_ERROR_LEN])
{
    struct store_heads heads = {.request = {.kind = STORE_HEADS}};
    struct rpc_status status = store_run(half->store, &heads.request);
    const char *problem = rpc_ok(&status) ? NULL : "the heads cannot be read";

    for (size_t i = 0; problem == NULL && i < heads.head_count; i++) {
        struct walk walk = {.half = half, .head = &heads.heads[i]};
        walk_log(&walk);
        if (walk.problem == NULL)
            walk_records(&walk);
        problem = walk.problem;
    }
    store_heads_deinit(&heads);
    if (problem != NULL)
        snprintf(error_out, SERVER_HALF_ERROR_LEN, "server: %s", problem);
    return problem == NULL;
}
