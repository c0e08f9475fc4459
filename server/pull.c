/* SPDX-License-Identifier: Apache-2.0
 *
 * Pull: pages of what the device lacks, region by region, until it is caught
 * up; then, in follow mode, again whenever something was committed (R19, R21).
 */
#include "stream_state.h"

#include <stdlib.h>

/* ---- What the device has already -------------------------------------------- */

void stream_forget_own(struct stream *stream)
{
    for (size_t i = 0; i < 2; i++) {
        free(stream->own[i].runs);
        stream->own[i] = (struct own_runs){0};
    }
    free(stream->entered);
    stream->entered = NULL;
    stream->entered_count = 0;
}

static void note_seq(struct own_runs *own, uint64_t seq)
{
    struct own_run *last = own->count > 0 ? &own->runs[own->count - 1] : NULL;

    if (last != NULL && seq <= last->last)
        return;
    if (last != NULL && seq == last->last + 1) {
        last->last = seq;
        return;
    }
    if (own->count == STREAM_OWN_RUNS_MAX)
        return;
    if ((own->count & (own->count - 1)) == 0) {
        size_t room = own->count > 0 ? own->count * 2 : 1;
        struct own_run *runs = realloc(own->runs, room * sizeof *runs);
        if (runs == NULL)
            return;
        own->runs = runs;
    }
    own->runs[own->count++] = (struct own_run){seq, seq};
}

void stream_note_applied(struct stream *stream, const struct push_batch *batch)
{
    for (size_t i = 0; i < batch->applied_count; i++)
        note_seq(&stream->own[batch->applied[i].global ? 0 : 1], batch->applied[i].seq);
}

/* NULL: the seq is not the stream's own. */
static const struct own_run *own_run_of(const struct own_runs *own, uint64_t seq)
{
    size_t low = 0, high = own->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (own->runs[middle].last < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < own->count && own->runs[low].first <= seq ? &own->runs[low] : NULL;
}

static const struct own_runs *own_in(const struct stream *stream, const struct record_uuid *region)
{
    return &stream->own[record_uuid_is_zero(region) ? 0 : 1];
}

static void note_entered(struct stream *stream, const struct store_page *page)
{
    struct own_runs *own = &stream->own[1];
    size_t count = stream->entered_count + page->entered_count;

    if (own->count == 0 || page->entered_count == 0)
        return;
    struct record_uuid *grown =
        count <= STREAM_ENTERED_MAX ? realloc(stream->entered, count * sizeof *grown) : NULL;
    if (grown == NULL) {
        own->count = 0;
        return;
    }
    memcpy(grown + stream->entered_count, page->entered, page->entered_count * sizeof *grown);
    stream->entered = grown;
    stream->entered_count = count;
}

static bool has_entered(const struct stream *stream, const struct record_uuid *family)
{
    for (size_t i = 0; i < stream->entered_count; i++)
        if (record_uuid_compare(&stream->entered[i], family) == 0)
            return true;
    return false;
}

/* ---- Pages ------------------------------------------------------------- */

static void page_done(struct store_request *request);

static enum store_part part_of(const struct cursor_region *region)
{
    if (region->in_snapshot)
        return region->in_rest ? STORE_REST : STORE_OWN;
    return region->fill_count > 0 ? STORE_FILL : STORE_TAIL;
}

/* Where the tail goes on: behind a run of the stream's own seqs, among which no marker's
 * is. A family that has entered is sent whole, own rows too. */
static uint64_t after_own(const struct stream *stream, const struct cursor_region *region)
{
    const struct own_run *run = own_run_of(own_in(stream, &region->region_id), region->at.seq + 1);

    return run != NULL && stream->entered_count == 0 ? run->last : region->at.seq;
}

static void request_page(struct stream *stream, const struct cursor_region *region)
{
    struct store_page *page = &stream->page;
    size_t bytes_max = stream->hello.settings.batch_bytes;

    if (stream->asked_bytes > 0 && stream->asked_bytes < bytes_max)
        bytes_max = stream->asked_bytes;
    *page = (struct store_page){
        .caller = stream_caller(stream),
        .region_id = region->region_id,
        .part = part_of(region),
        .type_count = part_of(region) == STORE_FILL ? region->fill_count : region->without_count,
        .facility = region->facility,
        .high_water = region->high_water.seq,
        .after = region->position,
        .after_seq = after_own(stream, region),
        .known_seq = region->seen.seq,
        .rows_max = stream->hello.settings.pull_batch,
        .bytes_max = bytes_max,
    };
    memcpy(page->types, part_of(region) == STORE_FILL ? region->fill : region->without,
           sizeof page->types);
    stream->page_owed = true;
    stream_submit(stream, &page->request, STORE_PAGE, page_done);
}

/* Closes the gaps that the stream's own rows leave in the encoded page. */
static size_t page_squeeze(const struct stream *stream, struct store_page *page)
{
    const struct own_runs *own = own_in(stream, &page->region_id);
    size_t kept = 0;
    size_t len = 0;

    if (own->count == 0)
        return page->row_count;
    for (size_t i = 0; i < page->row_count; i++) {
        const struct store_row *row = &page->rows[i];
        if (own_run_of(own, row->seq) != NULL && !has_entered(stream, &row->key.family))
            continue;
        memmove(page->encoded.data + len, page->encoded.data + row->offset, row->len);
        len += row->len;
        kept++;
    }
    page->encoded.len = len;
    return kept;
}

/* The snapshot is complete, and with it the device has swept what it left. */
static void snapshot_ends(struct stream *stream, struct cursor_region *region)
{
    struct cursor_region done = {.region_id = region->region_id,
                                 .at = region->high_water,
                                 .seen = region->seen,
                                 .without_count = region->without_count};

    memcpy(done.without, region->without, sizeof done.without);
    *region = done;
    if (!record_uuid_is_zero(&region->region_id))
        stream->cursor.region_count = stream->scope_count;
}

/* Moves the cursor past the page. */
static void cursor_advance(struct stream *stream, struct cursor_region *region,
                           const struct store_page *page)
{
    region->sent += region->in_snapshot ? page->row_count : 0;
    if (page->part == STORE_TAIL) {
        region->at = page->place;
    } else if (page->at_end && page->part == STORE_REST) {
        snapshot_ends(stream, region);
    } else if (page->at_end && page->part == STORE_FILL) {
        region->fill_count = 0;
        region->position = (struct record_key){.type = 0};
    } else if (page->at_end) {
        region->in_rest = true;
        region->position = (struct record_key){.type = 0};
    } else {
        region->position = page->rows[page->row_count - 1].key;
    }
}

static void send_page(struct stream *stream, struct cursor_region *region, struct store_page *page)
{
    /* A first part without families is not worth a message. */
    bool begins = region->in_snapshot && region->sent == 0 &&
                  (page->row_count > 0 || page->part == STORE_REST);
    bool completes = page->part == STORE_REST && page->at_end;
    struct rpc_buffer rest;

    note_entered(stream, page);
    size_t rows = page_squeeze(stream, page);
    cursor_advance(stream, region, page);
    if (page->head.seq > region->seen.seq)
        region->seen = page->head;
    if (rows == 0 && page->marker_count == 0 && !begins && !completes)
        return;
    rpc_buffer_init(&rest, 2 * CURSOR_BYTES_MAX);
    stream_put_cursor(stream, PULL_CURSOR, &rest);
    if (completes)
        stream_put_id(&rest, PULL_SNAPSHOT_COMPLETE, &region->region_id);
    if (begins)
        stream_put_id(&rest, PULL_SNAPSHOT_BEGIN, &region->region_id);
    const struct rpc_buffer *parts[] = {&page->encoded, &page->markers, &rest};
    stream_send(stream, RESPONSE_PULL, parts, 3);
    rpc_buffer_deinit(&rest);
}

static void page_done(struct store_request *request)
{
    struct stream *stream = request->owner;

    stream->page_owed = false;
    bool wanted = stream_answered(stream, request);
    if (wanted && stream->page.refusal.why != STANDING_ADMITTED) {
        stream_end_refused(stream, &stream->page.refusal);
    } else if (wanted) {
        struct cursor_region *region = &stream->cursor.regions[stream->pulling];
        send_page(stream, region, &stream->page);
        if (stream->page.at_end && stream->page.part == STORE_TAIL) {
            stream->behind[stream->pulling] = false;
            stream->pulling++;
        } else if (stream->page.at_end &&
                   (stream->page.part == STORE_REST || stream->page.part == STORE_FILL)) {
            /* What was committed since the snapshot began is the tail. */
            stream->behind[stream->pulling] = stream->page.head.seq > region->at.seq;
        }
    }
    store_page_deinit(&stream->page);
    if (stream->state == STATE_PULLING)
        stream_pump(stream);
    stream_leave(stream);
}

/* ---- Caught up ----------------------------------------------------------- */

static void caught_up_done(struct store_request *request);

static void new_token(const struct stream *stream, uint8_t token[TOKEN_LEN])
{
    const struct stream_service *service = stream->service;
    uint64_t given = token_count(stream->hello.tokens.present);
    uint64_t presented = token_count(stream->presented_token);

    service->random(service->context, token, TOKEN_LEN);
    token_set_count(token, (given > presented ? given : presented) + 1);
}

static void settle(struct stream *stream)
{
    struct store_caught_up *caught_up = &stream->caught_up;
    const struct stream_service *service = stream->service;

    *caught_up = (struct store_caught_up){
        .caller = stream_caller(stream),
        .region_count = stream->scope_count,
        .renew_token = !stream->token_given,
        .now_ms = service->time_ms(service->context),
        .sync = stream->sync,
        .withheld_count = stream->hello.view.type_count,
    };
    memcpy(caught_up->withheld, stream->hello.view.types, sizeof caught_up->withheld);
    for (size_t i = 0; i < caught_up->region_count; i++) {
        caught_up->regions[i] = stream->cursor.regions[i].region_id;
        caught_up->places[i] = stream->cursor.regions[i].at;
    }
    memcpy(caught_up->presented_token, stream->presented_token, TOKEN_LEN);
    if (caught_up->renew_token)
        new_token(stream, caught_up->next_token);
    stream->noted = true; /* with the token */
    stream_set_state(stream, STATE_SETTLING);
    stream_submit(stream, &caught_up->request, STORE_CAUGHT_UP, caught_up_done);
}

static void send_caught_up(struct stream *stream)
{
    const struct store_caught_up *caught_up = &stream->caught_up;
    struct rpc_buffer message, part;

    rpc_buffer_init(&message, 2 * CURSOR_BYTES_MAX);
    rpc_buffer_init(&part, CURSOR_BYTES_MAX);
    stream_put_cursor(stream, CAUGHT_UP_CURSOR, &message);
    for (size_t i = 0; i < caught_up->region_count; i++) {
        const struct store_head *head = &caught_up->heads[i];
        rpc_buffer_clear(&part);
        stream_put_id(&part, STATE_REGION_ID, &head->region_id);
        wire_put_uint(&part, STATE_SEQ, head->last.seq);
        wire_put_uint(&part, STATE_RECORDS, head->records);
        wire_put_fixed64(&part, STATE_DIGEST, head->digest);
        wire_put_buffer(&message, CAUGHT_UP_REGIONS, &part);
    }
    if (caught_up->renew_token)
        wire_put_bytes(&message, CAUGHT_UP_NEXT_TOKEN,
                       rpc_bytes_view(caught_up->next_token, TOKEN_LEN));
    const struct rpc_buffer *parts[] = {&message};
    stream_send(stream, RESPONSE_CAUGHT_UP, parts, 1);
    rpc_buffer_deinit(&part);
    rpc_buffer_deinit(&message);
}

static void caught_up_done(struct store_request *request)
{
    struct stream *stream = request->owner;

    bool wanted = stream_answered(stream, request);
    if (wanted && stream->caught_up.refusal.why != STANDING_ADMITTED) {
        stream_end_refused(stream, &stream->caught_up.refusal);
    } else if (wanted) {
        bool more = false;
        for (size_t i = 0; i < stream->caught_up.region_count; i++) {
            stream->behind[i] = stream->caught_up.behind[i];
            more = more || stream->behind[i];
        }
        if (more) {
            stream->noted = stream->token_given;
            stream->pulling = 0;
            stream_set_state(stream, STATE_PULLING);
        } else {
            stream->token_given = true;
            stream_forget_own(stream);
            send_caught_up(stream);
            if (stream->state == STATE_SETTLING)
                stream_set_state(stream, STATE_FOLLOWING);
        }
        stream_pump(stream);
    }
    stream_leave(stream);
}

/* ---- Following ----------------------------------------------------------- */

bool stream_is_following(const struct stream *stream, struct record_uuid regions_out[2])
{
    if (stream->state != STATE_FOLLOWING)
        return false;
    for (size_t i = 0; i < stream->scope_count; i++)
        regions_out[i] = stream->cursor.regions[i].region_id;
    return true;
}

void stream_wake(struct stream *stream, const struct record_uuid *region_id, uint64_t seq)
{
    const struct cursor_region *region = cursor_find(&stream->cursor, region_id);
    size_t index = region != NULL ? (size_t)(region - stream->cursor.regions) : 0;

    if (stream->state != STATE_FOLLOWING || region == NULL || index >= stream->scope_count ||
        seq <= region->at.seq)
        return;
    stream_enter(stream);
    stream->behind[index] = true;
    stream->pulling = 0;
    stream_set_state(stream, STATE_PULLING);
    stream_pump(stream);
    stream_leave(stream);
}

void stream_begin_pull(struct stream *stream)
{
    if (stream->sync.schema_revision < stream->hello.view.minimum) {
        stream_end_too_old(stream);
        return;
    }
    for (size_t i = 0; i < stream->scope_count; i++)
        stream->behind[i] = true;
    for (size_t i = 0; i < stream->scope_count; i++) {
        const struct cursor_region *region = &stream->cursor.regions[i];
        /* Nothing to read where the device stands at the head; what is
         * committed meanwhile is found when settling. */
        if (!region->in_snapshot && region->fill_count == 0 && region->at.seq >= region->seen.seq &&
            region->at.seq >= stream->hello.heads[i].last.seq)
            stream->behind[i] = false;
    }
    stream->pulling = 0;
    stream_set_state(stream, STATE_PULLING);
}

void stream_pull(struct stream *stream)
{
    if (stream->page_owed || !stream->peer.writable(stream->peer.context))
        return;
    while (stream->pulling < stream->scope_count && !stream->behind[stream->pulling])
        stream->pulling++;
    if (stream->pulling < stream->scope_count)
        request_page(stream, &stream->cursor.regions[stream->pulling]);
    else
        settle(stream);
}
