/* SPDX-License-Identifier: Apache-2.0
 *
 * Hello and Welcome: who calls, what it may see, where it stands (R18). Nothing
 * of a push is looked at before this is settled.
 */
#include "stream_state.h"

static void hello_done(struct store_request *request);

static void add_place(struct store_hello *hello, const struct record_uuid *region_id,
                      const struct store_place *place)
{
    if (place->seq == 0 || hello->place_count == STORE_PLACES_MAX)
        return;
    hello->places[hello->place_count++] =
        (struct store_hello_place){.region_id = *region_id, .place = *place};
}

static bool take_cursor(struct stream *stream, struct rpc_bytes bytes)
{
    rpc_buffer_clear(&stream->cursor_told);
    rpc_buffer_append_bytes(&stream->cursor_told, bytes);
    return cursor_parse(bytes, &stream->cursor);
}

/* R24. More than there can be in scope are not kept: the device asks again. */
static bool take_repair(struct stream *stream, struct rpc_bytes bytes)
{
    struct record_uuid id;

    if (!record_uuid_from_bytes(bytes, &id))
        return false;
    if (stream->repair_count < STORE_REGIONS_PER_DEVICE_MAX)
        stream->repairs[stream->repair_count++] = id;
    return true;
}

static void take_token(struct stream *stream, const uint8_t *bytes)
{
    memcpy(stream->presented_token, bytes, TOKEN_LEN);
    stream->token_presented = true;
}

/* It goes into lists and into a database's text: what is no character, or none that is
 * shown, becomes a question mark, and what does not fit is left out. */
static void take_app_version(struct stream *stream, struct rpc_bytes bytes)
{
    char *name = stream->sync.app_version;
    size_t len = 0;

    for (size_t at = 0; at < bytes.len;) {
        uint32_t character = 0;
        size_t count = record_utf8_character(bytes.data + at, bytes.len - at, &character);
        bool shown = count > 0 && character >= ' ' && character != 0x7f;
        if (len + (shown ? count : 1) >= sizeof stream->sync.app_version)
            break;
        if (shown)
            memcpy(name + len, bytes.data + at, count);
        else
            name[len] = '?';
        len += shown ? count : 1;
        at += count > 0 ? count : 1;
    }
    name[len] = '\0';
}

void stream_take_hello(struct stream *stream, struct rpc_bytes bytes)
{
    struct store_hello *hello = &stream->hello;
    struct wire_reader reader = wire_reader_over(bytes);
    struct wire_field field;
    enum wire_status status;
    bool good = true;

    while (good && (status = wire_read(&reader, &field)) == WIRE_FIELD) {
        if (field.number == HELLO_SCHEMA_REVISION && field.type == WIRE_VARINT)
            stream->sync.schema_revision = (uint32_t)field.value;
        else if (field.number == HELLO_APP_VERSION && field.type == WIRE_LEN)
            take_app_version(stream, field.bytes);
        else if (field.number == HELLO_CURSOR)
            good = take_cursor(stream, field.bytes);
        else if (field.number == HELLO_RECEIPT && field.bytes.len == STORE_HASH_LEN)
            memcpy(hello->receipt, field.bytes.data, STORE_HASH_LEN);
        else if (field.number == HELLO_FACILITY_ID && field.bytes.len > 0)
            good = record_uuid_from_bytes(field.bytes, &hello->facility_id);
        else if (field.number == HELLO_TOKEN && field.bytes.len == TOKEN_LEN)
            take_token(stream, field.bytes.data);
        else if (field.number == HELLO_REPAIR_REGION_IDS)
            good = take_repair(stream, field.bytes);
        else if (field.number == HELLO_BATCH_BYTES && field.type == WIRE_VARINT)
            stream->asked_bytes = field.value;
    }
    if (!good || status != WIRE_END) {
        stream_end(stream, rpc_status_make(RPC_INVALID_ARGUMENT,
                                           "Hello is malformed: see outpost/v1/sync.proto"));
        return;
    }
    hello->device_id = stream->device_id;
    hello->settings = stream->service->settings;
    for (size_t i = 0; i < stream->cursor.region_count; i++) {
        const struct cursor_region *region = &stream->cursor.regions[i];
        add_place(hello, &region->region_id, &region->at);
        add_place(hello, &region->region_id, &region->seen);
        if (region->in_snapshot)
            add_place(hello, &region->region_id, &region->high_water);
    }
    stream_set_state(stream, STATE_OPENING);
    stream_submit(stream, &hello->request, STORE_HELLO, hello_done);
}

/* R18: identity, wipe, revocation, copies, facility and scope, before any push.
 * False: the stream has ended. */
static bool admit(struct stream *stream)
{
    const struct store_hello *hello = &stream->hello;
    const struct record_uuid nowhere = {{0}};
    struct store_refusal refusal = {
        .why = standing_refuses(&hello->standing, &hello->device, &nowhere),
        .wipe_ordered_at_ms = hello->standing.wipe_ordered_at_ms,
    };
    char facility[RECORD_UUID_TEXT_LEN + 1];

    record_uuid_format(&hello->device.facility, facility);
    stream->device = hello->device;
    if (!hello->device_known)
        stream_end(stream, rpc_status_make(RPC_UNAUTHENTICATED,
                                           "this server does not know the device: enrol it again"));
    else if (refusal.why != STANDING_ADMITTED)
        stream_end_refused(stream, &refusal);
    else if (!token_is_good(&hello->tokens, stream->presented_token))
        stream_end_copied(stream);
    else if (!hello->facility_known)
        stream_end(stream, rpc_status_make(RPC_PERMISSION_DENIED,
                                           "facility %s is not known: choose another (outpost"
                                           " facility ID)",
                                           facility));
    else if (!scope_may_work_in(&hello->device, &hello->device.region))
        stream_end_refused(stream, &(struct store_refusal){.why = STANDING_REFUSED_REGION});
    return stream->state != STATE_ENDED;
}

static bool history_is_known(const struct store_hello *hello, const struct record_uuid *region_id)
{
    for (size_t i = 0; i < hello->place_count; i++)
        if (record_uuid_compare(&hello->places[i].region_id, region_id) == 0 &&
            !hello->places[i].known)
            return false;
    return true;
}

static bool in_scope(const struct store_hello *hello, const struct record_uuid *region_id)
{
    for (size_t i = 0; i < hello->head_count; i++)
        if (record_uuid_compare(&hello->heads[i].region_id, region_id) == 0)
            return true;
    return false;
}

/* R22: regions of an earlier facility, whose records the device still holds until
 * the present region's snapshot ends. Their places stay in the cursor until then,
 * so that a loss is seen whenever it happens. False: the log does not know one of
 * them; the device then keeps what it holds, and offers it. */
static bool keep_leaving(const struct stream *stream, struct cursor *adopted)
{
    bool known = true;

    for (size_t i = 0; i < stream->cursor.region_count; i++) {
        const struct cursor_region *region = &stream->cursor.regions[i];
        if (in_scope(&stream->hello, &region->region_id))
            continue;
        if (!history_is_known(&stream->hello, &region->region_id)) {
            known = false;
        } else if (adopted->region_count < STORE_REGIONS_PER_DEVICE_MAX) {
            struct cursor_region *kept = &adopted->regions[adopted->region_count++];
            *kept = *region;
            kept->leaving = true;
            kept->without_count = kept->fill_count = 0; /* coming back is a snapshot */
        }
    }
    return known;
}

static bool is_repaired(const struct stream *stream, const struct record_uuid *region_id)
{
    for (size_t i = 0; i < stream->repair_count; i++)
        if (record_uuid_compare(&stream->repairs[i], region_id) == 0)
            return true;
    return false;
}

/* R21: the facility's families first; NULL: in one part. */
static struct cursor_region snapshot_from(const struct store_head *head,
                                          const struct record_uuid *facility)
{
    struct cursor_region region = {
        .region_id = head->region_id,
        .in_snapshot = true,
        .high_water = head->last,
        .in_rest = facility == NULL,
    };

    if (facility != NULL)
        region.facility = *facility;
    return region;
}

/* What was withheld when the device came to its place and is not any more is sent whole;
 * a snapshot that has gone past it begins anew. False: it must. */
static bool open_types(struct cursor_region *region, const struct rollout_view *view)
{
    size_t fill_count = 0;
    bool opened = false;

    for (size_t i = 0; i < region->fill_count; i++)
        if (!rollout_withholds(view->types, view->type_count, region->fill[i]))
            region->fill[fill_count++] = region->fill[i];
    region->fill_count = fill_count;
    for (size_t i = 0; i < region->without_count; i++) {
        uint32_t type = region->without[i];
        if (rollout_withholds(view->types, view->type_count, type))
            continue;
        opened = true;
        if (region->fill_count == ROLLOUT_TYPES_MAX)
            return false;
        region->fill[region->fill_count++] = type;
    }
    if (opened && region->in_snapshot)
        return false;
    if (opened || (region->fill_count == 0 && !region->in_snapshot))
        region->position = (struct record_key){.type = 0};
    return true;
}

/* Makes the cursor hold the regions in scope, and those that the device is leaving. A
 * region that is new to the device, whose place the log does not know (R22), or that
 * differs there (R24), starts a snapshot up to the head of this moment. */
static void cursor_adopt(struct stream *stream, bool resets_out[2])
{
    struct cursor adopted = {.region_count = stream->hello.head_count};
    const struct rollout_view *view = &stream->hello.view;
    bool leaving_known = keep_leaving(stream, &adopted);

    for (size_t i = 0; i < stream->hello.head_count; i++) {
        const struct store_head *head = &stream->hello.heads[i];
        const struct cursor_region *held = cursor_find(&stream->cursor, &head->region_id);
        bool own = !record_uuid_is_zero(&head->region_id);
        resets_out[i] = (held != NULL && !history_is_known(&stream->hello, &head->region_id)) ||
                        (own && !leaving_known);
        /* One that it was leaving has been swept in part, perhaps: it is sent anew. */
        struct cursor_region *region = &adopted.regions[i];
        if (held != NULL)
            *region = *held;
        if (held == NULL || held->leaving || resets_out[i] ||
            is_repaired(stream, &head->region_id) || !open_types(region, view))
            *region = snapshot_from(head, own ? &stream->hello.device.facility : NULL);
        region->without_count = view->type_count;
        memcpy(region->without, view->types, sizeof region->without);
    }
    stream->scope_count = stream->hello.head_count;
    if (!adopted.regions[stream->scope_count - 1].in_snapshot)
        adopted.region_count = stream->scope_count; /* all else was swept */
    stream->cursor = adopted;
}

static uint64_t remaining(const struct cursor_region *region, const struct store_head *head)
{
    uint64_t from = region->in_snapshot ? region->sent : region->at.seq;
    uint64_t to = region->in_snapshot ? head->records : head->last.seq;

    return to > from ? to - from : 0;
}

static void put_view(struct rpc_buffer *welcome, struct rpc_buffer *part,
                     const struct rollout_view *view)
{
    wire_put_uint(welcome, WELCOME_MINIMUM_REVISION, view->minimum);
    wire_put_uint(welcome, WELCOME_RECOMMENDED_REVISION, view->recommended);
    for (size_t i = 0; i < view->type_count; i++)
        wire_put_uint(welcome, WELCOME_WITHHELD_TYPES, view->types[i]);
    for (size_t i = 0; i < view->field_count; i++) {
        rpc_buffer_clear(part);
        wire_put_uint(part, WITHHELD_TYPE, view->fields[i].type);
        wire_put_uint(part, WITHHELD_FIELD, view->fields[i].field);
        wire_put_buffer(welcome, WELCOME_WITHHELD_FIELDS, part);
    }
}

static void send_welcome(struct stream *stream, const bool resets[2])
{
    const struct settings *settings = &stream->hello.settings;
    struct rpc_buffer welcome, part;

    rpc_buffer_init(&welcome, CURSOR_BYTES_MAX);
    rpc_buffer_init(&part, CURSOR_BYTES_MAX);
    wire_put_uint(&part, SETTINGS_PUSH_BATCH, settings->push_batch);
    wire_put_uint(&part, SETTINGS_PULL_BATCH, settings->pull_batch);
    wire_put_uint(&part, SETTINGS_BATCH_BYTES, settings->batch_bytes);
    wire_put_uint(&part, SETTINGS_SYNC_INTERVAL_S, settings->sync_interval_s);
    wire_put_uint(&part, SETTINGS_PAUSE, settings->pause);
    wire_put_uint(&part, SETTINGS_COMPRESSION, settings->compression);
    wire_put_buffer(&welcome, WELCOME_SETTINGS, &part);
    for (size_t i = 0; i < stream->hello.head_count; i++) {
        const struct store_head *head = &stream->hello.heads[i];
        rpc_buffer_clear(&part);
        stream_put_id(&part, TOTAL_REGION_ID, &head->region_id);
        wire_put_uint(&part, TOTAL_RECORDS, head->records);
        wire_put_uint(&part, TOTAL_REMAINING, remaining(&stream->cursor.regions[i], head));
        wire_put_uint(&part, TOTAL_RESET, resets[i]);
        wire_put_buffer(&welcome, WELCOME_REGIONS, &part);
    }
    stream_put_id(&welcome, WELCOME_FACILITY_ID, &stream->device.facility);
    wire_put_uint(&welcome, WELCOME_SERVER_TIME_MS,
                  (uint64_t)stream->service->time_ms(stream->service->context));
    wire_put_uint(&welcome, WELCOME_SCHEMA_REVISION, stream->service->roles.schema->revision);
    wire_put_uint(&welcome, WELCOME_ACCEPTS_ZSTD, 1);
    wire_put_uint(&welcome, WELCOME_RESEND_ACKNOWLEDGED, !stream->hello.receipt_known);
    put_view(&welcome, &part, &stream->hello.view);
    if (stream->peer.set_compression != NULL)
        stream->peer.set_compression(stream->peer.context,
                                     (enum settings_compression)settings->compression);
    const struct rpc_buffer *parts[] = {&welcome};
    stream_send(stream, RESPONSE_WELCOME, parts, 1);
    rpc_buffer_deinit(&part);
    rpc_buffer_deinit(&welcome);
}

static void hello_done(struct store_request *request)
{
    struct stream *stream = request->owner;
    bool resets[2] = {false, false};

    if (stream_answered(stream, request) && admit(stream)) {
        stream->admitted = true;
        cursor_adopt(stream, resets);
        stream_set_state(stream, STATE_PUSHING);
        send_welcome(stream, resets);
    }
    if (stream->state == STATE_PUSHING) {
        if (stream->has_held_message) {
            stream->has_held_message = false;
            stream_take_message(stream, rpc_buffer_view(&stream->held_message));
        }
        if (stream->state != STATE_ENDED && stream->pushes_in_flight < STREAM_PUSHES_IN_FLIGHT_MAX)
            stream_set_paused(stream, false);
        stream_pump(stream);
    }
    stream_leave(stream);
}
