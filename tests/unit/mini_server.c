/* SPDX-License-Identifier: Apache-2.0
 *
 * See mini_server.h. Cursors are this struct's bytes, for nobody else to read.
 */
#include "mini_server.h"

#include <assert.h>
#include <stdlib.h>

struct cursor {
    uint64_t at, high;
    struct record_key position;
    uint8_t snapshot, has_position, begun;
};

enum { APPLIED = 0, MERGED = 1, NO_EFFECT = 2, QUARANTINED = 3, OUT_OF_SCOPE = 4, RETRY = 5 };
enum { REASON_PARENT_MISSING = 32, REASON_UNKNOWN_BASE = 33, REASON_BUSY = 34 };
enum { MESSAGE_MAX = 4 * 1024 * 1024 };

/* ---- Records ------------------------------------------------------------------------ */

struct mini_server *mini_server_new(const struct record_schema *schema)
{
    struct mini_server *server = calloc(1, sizeof *server);

    server->schema = schema;
    server->hasher = record_hasher_new();
    server->records = calloc(MINI_RECORDS_MAX, sizeof *server->records);
    server->known = calloc(MINI_KNOWN_MAX, sizeof *server->known);
    memset(server->region.bytes, 0x5e, RECORD_UUID_LEN);
    memset(server->facility.bytes, 0xfa, RECORD_UUID_LEN);
    server->page = 3;
    rpc_buffer_init(&server->log, 64 * 1024 * 1024);
    return server;
}

void mini_server_free(struct mini_server *server)
{
    for (size_t i = 0; i < server->record_count; i++)
        rpc_buffer_deinit(&server->records[i].body);
    rpc_buffer_deinit(&server->log);
    record_hasher_free(server->hasher);
    free(server->records);
    free(server->known);
    free(server);
}

struct mini_record *mini_server_find(struct mini_server *server, const struct record_key *key)
{
    for (size_t i = 0; i < server->record_count; i++)
        if (record_key_compare(&server->records[i].key, key) == 0)
            return &server->records[i];
    return NULL;
}

static struct mini_record *find_or_add(struct mini_server *server, const struct record_key *key)
{
    struct mini_record *record = mini_server_find(server, key);

    if (record != NULL)
        return record;
    assert(server->record_count < MINI_RECORDS_MAX);
    record = &server->records[server->record_count++];
    *record = (struct mini_record){.key = *key};
    rpc_buffer_init(&record->body, RECORD_BODY_BYTES_MAX);
    return record;
}

static uint64_t stamp_of(struct mini_server *server, const struct mini_record *record)
{
    if (record == NULL || record->version == 0)
        return 0;
    return record_stamp(server->hasher, record->version, record->deleted,
                        rpc_buffer_view(&record->body));
}

void mini_server_forget(struct mini_server *server, const struct record_key *key)
{
    struct mini_record *record = mini_server_find(server, key);

    rpc_buffer_deinit(&record->body);
    *record = server->records[--server->record_count];
}

/* A new version: its number, its place in the log, the marks of what changed. */
static void commit(struct mini_server *server, struct mini_record *record,
                   const struct record_body *body, bool deleted, int device)
{
    struct record_body before;
    struct rpc_buffer encoded;

    rpc_buffer_init(&encoded, RECORD_BODY_BYTES_MAX);
    record_body_encode(body, &encoded);
    record_body_parse(rpc_buffer_view(&record->body), &before);
    record->version++;
    for (uint32_t number = 1; number < RECORD_FIELDS_MAX; number++)
        if (!record_value_equal(record_body_find(&before, number),
                                record_body_find(body, number))) {
            record->marks[number].version = record->version;
            record->marks[number].device = device;
        }
    rpc_buffer_deinit(&record->body);
    record->body = encoded;
    record->deleted = deleted;
    record->seq = ++server->seq;
    assert(record->version < MINI_LINE);
    record->line[record->version] = stamp_of(server, record);
}

void mini_server_put(struct mini_server *server, const struct record_key *key,
                     struct rpc_bytes bytes, bool deleted)
{
    struct mini_record *record = find_or_add(server, key);
    struct record_body body, changes;

    record_body_parse(rpc_buffer_view(&record->body), &body);
    record_body_parse(bytes, &changes);
    for (size_t i = 0; i < changes.count; i++)
        record_body_set(&body, &changes.fields[i]);
    commit(server, record, &body, deleted, 0);
}

uint64_t mini_server_digest(struct mini_server *server, bool global, uint64_t *records_out)
{
    uint64_t digest = 0;

    *records_out = 0;
    for (size_t i = 0; i < server->record_count; i++) {
        const struct mini_record *record = &server->records[i];
        if (record->deleted || record_uuid_is_zero(&record->key.family) != global)
            continue;
        digest += record_digest_share(record->key.type, &record->key.id, stamp_of(server, record));
        (*records_out)++;
    }
    return digest;
}

/* ---- Merging ---------------------------------------------------------------------------- */

struct verdict {
    uint32_t status, reason, field;
};

static bool changed_by_other(const struct mini_record *record, const struct record_mutation *m,
                             uint32_t number, int device)
{
    bool forked = m->base_version > 0 &&
                  (m->base_version >= MINI_LINE || record->line[m->base_version] != m->base_stamp);

    return forked ||
           (number < RECORD_FIELDS_MAX && record->marks[number].version > m->base_version &&
            record->marks[number].device != device);
}

static struct verdict merge_fields(struct mini_server *server, struct mini_record *record,
                                   const struct record_mutation *m, int device, bool *deleted,
                                   struct record_body *body)
{
    const struct record_type *type = record_type_by_number(server->schema, m->key.type);
    struct record_body values;
    bool any_other = false;

    record_body_parse(m->body, &values);
    for (uint32_t number = 1; number < RECORD_FIELDS_MAX; number++)
        any_other = any_other || changed_by_other(record, m, number, device);
    *deleted = record->deleted;
    if (m->deletes)
        *deleted = record->deleted || !any_other;
    else if (m->field_count > 0)
        *deleted = false;
    for (size_t i = 0; i < m->field_count; i++) {
        const struct wire_field *value = record_body_find(&values, m->fields[i]);
        if (value != NULL)
            record_body_set(body, value);
        else
            record_body_remove(body, m->fields[i]);
    }
    if (!*deleted && type != NULL) {
        struct record_verdict bad = record_validate(type, body, INT64_C(4000000000000));
        if (bad.problem != RECORD_PROBLEM_NONE)
            return (struct verdict){QUARANTINED, bad.problem, bad.field};
    }
    return (struct verdict){MERGED, 0, 0};
}

static struct verdict decide(struct mini_stream *stream, const struct record_mutation *m,
                             uint64_t held)
{
    struct mini_server *server = stream->server;
    const struct record_type *root = record_root_type(server->schema);
    struct record_key parent = {m->key.family, root->number, m->key.family};
    struct mini_record *record = mini_server_find(server, &m->key);
    uint64_t before = stamp_of(server, record);
    struct record_body body = {.count = 0};
    struct verdict verdict;
    bool deleted;

    if (server->busy)
        return (struct verdict){RETRY, REASON_BUSY, 0};
    if (!record_uuid_is_zero(&m->key.family) && m->key.type != root->number &&
        mini_server_find(server, &parent) == NULL)
        return (struct verdict){RETRY, REASON_PARENT_MISSING, 0};
    if (record == NULL && m->base_version > 0)
        return (struct verdict){RETRY, REASON_UNKNOWN_BASE, 0};

    struct mini_record none = {.key = m->key};
    if (record != NULL)
        record_body_parse(rpc_buffer_view(&record->body), &body);
    verdict =
        merge_fields(server, record != NULL ? record : &none, m, stream->device, &deleted, &body);
    if (verdict.status == QUARANTINED)
        return verdict;
    struct rpc_buffer encoded;
    rpc_buffer_init(&encoded, RECORD_BODY_BYTES_MAX);
    record_body_encode(&body, &encoded);
    bool same = record != NULL && record->deleted == deleted &&
                rpc_bytes_equal(rpc_buffer_view(&encoded), rpc_buffer_view(&record->body));
    bool as_sent = deleted == m->deletes;
    if (!same) {
        record = find_or_add(server, &m->key);
        commit(server, record, &body, deleted, stream->device);
        server->mutations++;
    }
    rpc_buffer_deinit(&encoded);
    if (same)
        return (struct verdict){NO_EFFECT, 0, 0};
    if (server->out_of_scope == m->key.type)
        return (struct verdict){OUT_OF_SCOPE, 0, 0};
    return (struct verdict){as_sent && before == held ? APPLIED : MERGED, 0, 0};
}

static struct verdict known_or_decide(struct mini_stream *stream, struct rpc_bytes bytes,
                                      const struct record_mutation *m, uint64_t held)
{
    struct mini_server *server = stream->server;
    struct record_mutation_id id = record_mutation_id(server->hasher, bytes);
    struct verdict verdict;

    for (size_t i = 0; i < server->known_count; i++)
        if (memcmp(server->known[i].id.bytes, id.bytes, sizeof id.bytes) == 0) {
            const struct mini_known *known = &server->known[i];
            return (struct verdict){known->status == QUARANTINED ? QUARANTINED : NO_EFFECT,
                                    known->reason, known->field};
        }
    verdict = decide(stream, m, held);
    if (verdict.status != RETRY) {
        assert(server->known_count < MINI_KNOWN_MAX);
        rpc_buffer_append_bytes(&server->log, m->body);
        server->known[server->known_count++] =
            (struct mini_known){id, verdict.status, verdict.reason, verdict.field};
    }
    return verdict;
}

/* ---- Responses ----------------------------------------------------------------------------- */

void mini_stream_inject(struct mini_stream *stream, uint32_t number, struct rpc_bytes message)
{
    struct rpc_buffer response;

    rpc_buffer_init(&response, MESSAGE_MAX);
    wire_put_message(&response, number, message);
    wire_put_varint(&stream->responses, response.len);
    rpc_buffer_append_bytes(&stream->responses, rpc_buffer_view(&response));
    rpc_buffer_deinit(&response);
}

static void put_record(struct rpc_buffer *message, uint32_t number,
                       const struct mini_record *record)
{
    struct record_image image = {.key = record->key,
                                 .version = record->version,
                                 .deleted = record->deleted,
                                 .body = rpc_buffer_view(&record->body)};
    struct rpc_buffer bytes;

    rpc_buffer_init(&bytes, RECORD_ENVELOPE_BYTES_MAX);
    record_image_encode(&image, &bytes);
    wire_put_message(message, number, rpc_buffer_view(&bytes));
    rpc_buffer_deinit(&bytes);
}

static void put_cursor(struct mini_stream *stream, struct rpc_buffer *message, uint32_t number)
{
    struct cursor cursor;

    memset(&cursor, 0, sizeof cursor);
    cursor.at = stream->at;
    cursor.high = stream->high;
    cursor.position = stream->position;
    cursor.snapshot = stream->snapshot;
    cursor.has_position = stream->has_position;
    cursor.begun = stream->begun;
    wire_put_bytes(message, number, rpc_bytes_view(&cursor, sizeof cursor));
}

static void put_region_total(struct rpc_buffer *message, const struct record_uuid *region,
                             uint64_t records)
{
    struct rpc_buffer total;

    rpc_buffer_init(&total, 256);
    wire_put_bytes(&total, 1, rpc_bytes_view(region->bytes, RECORD_UUID_LEN));
    wire_put_uint(&total, 2, records);
    wire_put_uint(&total, 3, records);
    wire_put_message(message, 2, rpc_buffer_view(&total));
    rpc_buffer_deinit(&total);
}

static void take_hello(struct mini_stream *stream, struct rpc_bytes hello)
{
    static const struct record_uuid zero;
    struct wire_field field;
    struct cursor cursor;
    struct rpc_buffer welcome;

    stream->snapshot = true;
    if (wire_find(hello, 2, &field) == WIRE_FIELD && field.bytes.len == sizeof cursor) {
        memcpy(&cursor, field.bytes.data, sizeof cursor);
        stream->at = cursor.at;
        stream->high = cursor.high;
        stream->position = cursor.position;
        stream->snapshot = cursor.snapshot;
        stream->has_position = cursor.has_position;
        stream->begun = cursor.begun;
    } else
        stream->high = stream->server->seq;
    rpc_buffer_init(&welcome, MESSAGE_MAX);
    put_region_total(&welcome, &zero, 0);
    put_region_total(&welcome, &stream->server->region, stream->server->record_count);
    wire_put_bytes(&welcome, 3, rpc_bytes_view(stream->server->facility.bytes, RECORD_UUID_LEN));
    mini_stream_inject(stream, 1, rpc_buffer_view(&welcome));
    rpc_buffer_deinit(&welcome);
}

static void answer_item(struct mini_stream *stream, struct rpc_bytes item,
                        struct rpc_buffer *result)
{
    struct record_mutation mutation;
    struct wire_field bytes, held;
    struct rpc_buffer answer;
    bool parsed;

    if (wire_find(item, 2, &held) != WIRE_FIELD)
        held.value = 0;
    parsed =
        wire_find(item, 1, &bytes) == WIRE_FIELD && record_mutation_parse(bytes.bytes, &mutation);
    assert(parsed);
    (void)parsed;
    struct verdict verdict = known_or_decide(stream, bytes.bytes, &mutation, held.value);
    struct mini_record *record = mini_server_find(stream->server, &mutation.key);

    rpc_buffer_init(&answer, RECORD_ENVELOPE_BYTES_MAX + 64);
    wire_put_uint(&answer, 1, verdict.status);
    wire_put_uint(&answer, 2, verdict.reason);
    wire_put_uint(&answer, 3, verdict.field);
    if (verdict.status != APPLIED && verdict.status != RETRY && verdict.status != OUT_OF_SCOPE &&
        record != NULL)
        put_record(&answer, 4, record);
    if (verdict.status == APPLIED && stream->applied_count < MINI_KNOWN_MAX) {
        stream->applied[stream->applied_count].key = mutation.key;
        stream->applied[stream->applied_count++].stamp = stamp_of(stream->server, record);
    }
    wire_put_message(result, 1, rpc_buffer_view(&answer));
    rpc_buffer_deinit(&answer);
}

static void take_push(struct mini_stream *stream, struct rpc_bytes push)
{
    struct wire_reader reader = wire_reader_over(push);
    struct wire_field item;
    struct rpc_buffer result;

    rpc_buffer_init(&result, MESSAGE_MAX);
    while (wire_read(&reader, &item) == WIRE_FIELD)
        answer_item(stream, item.bytes, &result);
    wire_put_bytes(&result, 2, rpc_bytes_view("receipt", 7));
    mini_stream_inject(stream, 2, rpc_buffer_view(&result));
    rpc_buffer_deinit(&result);
}

void mini_stream_receive(struct mini_stream *stream, struct rpc_bytes request)
{
    struct wire_reader reader = wire_reader_over(request);
    struct wire_field field;
    bool parsed = wire_read(&reader, &field) == WIRE_FIELD;

    assert(parsed && !stream->half_closed);
    (void)parsed;
    if (field.number == 1)
        take_hello(stream, field.bytes);
    else if (field.number == 2)
        take_push(stream, field.bytes);
    else
        stream->done = true;
}

/* ---- Pages ------------------------------------------------------------------------------------
 */

static const struct mini_record *next_by_key(const struct mini_stream *stream)
{
    const struct mini_record *best = NULL;

    for (size_t i = 0; i < stream->server->record_count; i++) {
        const struct mini_record *record = &stream->server->records[i];
        if (stream->has_position && record_key_compare(&record->key, &stream->position) <= 0)
            continue;
        if (best == NULL || record_key_compare(&record->key, &best->key) < 0)
            best = record;
    }
    return best;
}

static const struct mini_record *next_by_seq(const struct mini_stream *stream)
{
    const struct mini_record *best = NULL;

    for (size_t i = 0; i < stream->server->record_count; i++) {
        const struct mini_record *record = &stream->server->records[i];
        if (record->seq > stream->at && (best == NULL || record->seq < best->seq))
            best = record;
    }
    return best;
}

static bool answered_here(const struct mini_stream *stream, const struct mini_record *record)
{
    for (size_t i = 0; i < stream->applied_count; i++)
        if (record_key_compare(&stream->applied[i].key, &record->key) == 0 &&
            stream->applied[i].stamp == stamp_of(stream->server, record))
            return true;
    return false;
}

static void put_region_id(struct rpc_buffer *page, uint32_t number, const struct record_uuid *id)
{
    wire_put_bytes(page, number, rpc_bytes_view(id->bytes, RECORD_UUID_LEN));
}

static void snapshot_page(struct mini_stream *stream, struct rpc_buffer *page)
{
    static const struct record_uuid zero;
    const struct mini_record *record;
    size_t count = 0;

    /* Both regions travel as one here; their begin and end are told apart. */
    if (!stream->begun) {
        stream->begun = true;
        put_region_id(page, 5, &zero);
        put_region_id(page, 5, &stream->server->region);
    }
    while (count++ < stream->server->page && (record = next_by_key(stream)) != NULL) {
        put_record(page, 1, record);
        stream->position = record->key;
        stream->has_position = true;
    }
    if (next_by_key(stream) == NULL) {
        put_region_id(page, 4, &zero);
        put_region_id(page, 4, &stream->server->region);
        stream->snapshot = stream->has_position = stream->begun = false;
        stream->at = stream->high;
    }
}

static void tail_page(struct mini_stream *stream, struct rpc_buffer *page)
{
    const struct mini_record *record;
    size_t count = 0;

    while (count++ < stream->server->page && (record = next_by_seq(stream)) != NULL) {
        if (!answered_here(stream, record))
            put_record(page, 1, record);
        stream->at = record->seq;
    }
}

static void caught_up(struct mini_stream *stream)
{
    static const struct record_uuid zero;
    struct rpc_buffer message, region;

    rpc_buffer_init(&message, MESSAGE_MAX);
    rpc_buffer_init(&region, 256);
    put_cursor(stream, &message, 1);
    for (int global = 1; global >= 0; global--) {
        uint64_t records;
        uint64_t digest = mini_server_digest(stream->server, global, &records);
        rpc_buffer_clear(&region);
        put_region_id(&region, 1, global ? &zero : &stream->server->region);
        wire_put_uint(&region, 2, stream->server->seq);
        wire_put_uint(&region, 3, records);
        wire_put_fixed64(&region, 4, digest);
        wire_put_message(&message, 2, rpc_buffer_view(&region));
    }
    wire_put_bytes(&message, 3, rpc_bytes_view("token", 5));
    mini_stream_inject(stream, 4, rpc_buffer_view(&message));
    rpc_buffer_deinit(&region);
    rpc_buffer_deinit(&message);
}

static void produce(struct mini_stream *stream)
{
    struct rpc_buffer page;

    if (!stream->snapshot && next_by_seq(stream) == NULL) {
        stream->done = false;
        caught_up(stream);
        return;
    }
    rpc_buffer_init(&page, MESSAGE_MAX);
    if (stream->snapshot)
        snapshot_page(stream, &page);
    else
        tail_page(stream, &page);
    put_cursor(stream, &page, 3);
    mini_stream_inject(stream, 3, rpc_buffer_view(&page));
    rpc_buffer_deinit(&page);
}

bool mini_stream_next(struct mini_stream *stream, struct rpc_buffer *response_out)
{
    uint64_t len = 0;
    size_t head = 0;

    if (stream->responses.len == 0 && stream->done)
        produce(stream);
    if (stream->responses.len == 0)
        return false;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = stream->responses.data[head++];
        len |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    rpc_buffer_init(response_out, MESSAGE_MAX);
    rpc_buffer_append(response_out, stream->responses.data + head, (size_t)len);
    rpc_buffer_drop(&stream->responses, head + (size_t)len);
    return true;
}

struct mini_stream *mini_stream_new(struct mini_server *server, int device)
{
    struct mini_stream *stream = calloc(1, sizeof *stream);

    stream->server = server;
    stream->device = device;
    rpc_buffer_init(&stream->responses, 4 * MESSAGE_MAX);
    return stream;
}

void mini_stream_free(struct mini_stream *stream)
{
    rpc_buffer_deinit(&stream->responses);
    free(stream);
}
