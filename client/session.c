/* SPDX-License-Identifier: Apache-2.0
 *
 * The device's side of the stream (PROTOCOL.md, R5-R7, R19); see session.h.
 *
 *     SEALED --next: Hello--> PUSHING --next: last Push gone, PushDone--> PULLING
 *                               |  ^                                        |  ^
 *                               |  |  receive: Welcome, PushResult          |  | receive: Welcome,
 *                               +--+                                        +--+ PushResult, Pull,
 *                                                                           |    CaughtUp
 *                                next: half-close, at once or after         |
 *                                sync_session_finish in follow mode              v
 *     any --receive: out of turn, or the store fails--> FAILED           CLOSED (receives on)
 *     any --receive: WipeOrder, good or not --> FAILED (wipe.h)
 *
 * A follower that was told to pause asks first: Hello, and after Welcome either the
 * half-close (PUSHING to CLOSED) or everything as above.
 */
#include "session.h"

#include "aside.h"
#include "outbox.h"
#include "pace.h"
#include "pull.h"
#include "push.h"
#include "repair.h"
#include "resend.h"
#include "wipe.h"
#include "withheld.h"

#include "outpost/rpc.h"
#include "outpost/v1/sync.pb-c.h"

#include <stdlib.h>

enum session_state {
    STATE_SEALED,  /* nothing sent */
    STATE_PUSHING, /* Hello sent; pushes go out as the window allows */
    STATE_PULLING, /* PushDone sent */
    STATE_CLOSED,  /* half-closed; the server still sends */
    STATE_FAILED,
};

enum {
    RESPONSE_WELCOME = 1,
    RESPONSE_PUSH_RESULT = 2,
    RESPONSE_PULL = 3,
    RESPONSE_CAUGHT_UP = 4,
    RESPONSE_WIPE_ORDER = 5,

    /* Before Welcome has said otherwise. */
    PUSH_ITEMS_DEFAULT = 500,
    PUSH_BYTES_DEFAULT = 1024 * 1024,
    /* The most that Welcome may ask for: protects this device's memory. */
    PUSH_BYTES_MAX = 2 * 1024 * 1024,

    SYNC_INTERVAL_DEFAULT_S = 900,
    /* A month: a device that waits longer would never learn that it need not. */
    SYNC_INTERVAL_MAX_S = 30 * 86400,
};

struct sync_session {
    struct store *store;
    struct sync_session_options options;
    enum session_state state;
    struct device_state device;

    struct outbox_sealing sealing;
    struct pace pace;
    uint32_t push_items; /* in one Push */
    struct push_position position;
    /* Unanswered pushes, oldest first. */
    struct push_flight flights[PUSH_FLIGHTS_MAX];
    size_t flight_first, flight_count;
    bool waited; /* the driver was told to wait, and nothing was sent since */

    bool welcomed;
    bool finishing;
    bool asks_first; /* it may have to wait: nothing is pushed before Welcome */
    uint64_t to_push, to_pull;
    struct rpc_buffer message;
    struct outpost_sync_result result;
};

static void set_state(struct sync_session *session, enum session_state state)
{
    static const uint8_t legal[] = {
        [STATE_SEALED] = 1 << STATE_PUSHING | 1 << STATE_FAILED,
        [STATE_PUSHING] = 1 << STATE_PULLING | 1 << STATE_CLOSED | 1 << STATE_FAILED,
        [STATE_PULLING] = 1 << STATE_CLOSED | 1 << STATE_FAILED,
        [STATE_CLOSED] = 1 << STATE_FAILED,
        [STATE_FAILED] = 1 << STATE_FAILED,
    };

    if ((legal[session->state] & 1 << state) == 0)
        abort();
    session->state = state;
}

static bool fail(struct sync_session *session)
{
    set_state(session, STATE_FAILED);
    return false;
}

static bool out_of_turn(struct sync_session *session, const char *what)
{
    return store_fail(session->store, OUTPOST_BUG, "the server sent %s out of turn: report it",
                      what);
}

static uint32_t clamp(uint32_t value, uint32_t none, uint32_t most)
{
    if (value == 0)
        return none;
    return value < most ? value : most;
}

/* What one Push may hold, as the last Welcome said: also for what is pushed before
 * the next, or a batch that a bad link cannot carry would be tried for ever. */
static void set_limits(struct sync_session *session, const struct device_settings *settings)
{
    session->push_items = clamp(settings->push_batch, PUSH_ITEMS_DEFAULT, PUSH_ITEMS_MAX);
    pace_set_most(&session->pace, clamp(settings->batch_bytes, PUSH_BYTES_DEFAULT, PUSH_BYTES_MAX));
}

/* ---- The link ------------------------------------------------------------------------ */

static int64_t ticks_ms(const struct sync_session *session)
{
    return session->options.ticks_ms != NULL ? session->options.ticks_ms() : 0;
}

static bool keep_pace(struct sync_session *session)
{
    struct store *store = session->store;
    uint32_t learned = session->pace.bytes < session->pace.most ? session->pace.bytes : 0;
    sqlite3_stmt *statement;

    if (learned == session->device.link_bytes)
        return true;
    if (!store_begin(store, STORE_NORMAL))
        return false;
    statement = store_statement(store, STORE_STATE_LINK_BYTES_SET);
    if (statement != NULL)
        sqlite3_bind_int64(statement, 1, learned);
    session->device.link_bytes = learned;
    return store_run(store, statement) && store_commit(store);
}

bool sync_session_broke(struct sync_session *session)
{
    pace_broke(&session->pace);
    return keep_pace(session);
}

/* ---- Birth and death ---------------------------------------------------------------- */

bool sync_session_new(struct store *store, const struct sync_session_options *options,
                      struct sync_session **session_out)
{
    struct sync_session *session = calloc(1, sizeof *session);
    uint64_t unsealed;

    if (session == NULL)
        return store_fail(store, OUTPOST_IO, "no memory");
    session->store = store;
    session->options = *options;
    session->position = push_position_start();
    rpc_buffer_init(&session->message, RPC_MESSAGE_BYTES_MAX);
    device_state_init(&session->device);

    if (!device_state_load(store, &session->device))
        goto error;
    if (!session->device.enrolled) {
        store_fail(store, OUTPOST_DENIED, "this database is not enrolled: run outpost init");
        goto error;
    }
    pace_start(&session->pace, session->device.link_bytes,
               clamp(session->device.settings.batch_bytes, PUSH_BYTES_DEFAULT, PUSH_BYTES_MAX));
    set_limits(session, &session->device.settings);
    session->asks_first = options->follow && session->device.settings.pause != 0;
    session->sealing.options = (struct outbox_options){.facility_id = session->device.facility_id,
                                                       .now_ms = options->now_ms,
                                                       .part = options->seal_part};
    if (!outbox_seal_part(store, &session->sealing) || !outbox_count(store, &session->to_push) ||
        !outbox_unsealed(store, &session->sealing, &unsealed))
        goto error;
    session->to_push += unsealed;
    *session_out = session;
    return true;

error:
    sync_session_free(session);
    return false;
}

void sync_session_free(struct sync_session *session)
{
    if (session == NULL)
        return;
    for (size_t i = 0; i < PUSH_FLIGHTS_MAX; i++)
        free(session->flights[i].entries);
    rpc_buffer_deinit(&session->message);
    device_state_deinit(&session->device);
    free(session);
}

/* ---- Out ------------------------------------------------------------------------------ */

static ProtobufCBinaryData data_of(const void *bytes, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)bytes};
}

static bool put_request(struct sync_session *session, const Outpost__V1__SyncRequest *request)
{
    size_t len = outpost__v1__sync_request__get_packed_size(request);
    uint8_t *room = rpc_buffer_reserve(&session->message, len);

    if (room == NULL)
        return store_fail(session->store, OUTPOST_IO, "no memory");
    session->message.len += outpost__v1__sync_request__pack(request, room);
    return true;
}

static bool put_hello(struct sync_session *session)
{
    const struct device_state *device = &session->device;
    Outpost__V1__SyncRequest request = OUTPOST__V1__SYNC_REQUEST__INIT;
    Outpost__V1__Hello hello = OUTPOST__V1__HELLO__INIT;
    Outpost__V1__Ability abilities[] = {OUTPOST__V1__ABILITY__ABILITY_UNKNOWN_TYPES};
    struct record_uuid repairs[OUTPOST_REGIONS_MAX];
    ProtobufCBinaryData repair_ids[OUTPOST_REGIONS_MAX];

    hello.schema_revision = session->store->schema->revision;
    hello.cursor = data_of(device->cursor.data, device->cursor.len);
    hello.receipt = data_of(device->receipt.data, device->receipt.len);
    hello.facility_id = data_of(device->facility_id.bytes, RECORD_UUID_LEN);
    hello.token = data_of(device->token.data, device->token.len);
    hello.abilities = abilities;
    hello.n_abilities = 1;
    if (!repair_due(session->store, repairs, &hello.n_repair_region_ids))
        return false;
    for (size_t i = 0; i < hello.n_repair_region_ids; i++)
        repair_ids[i] = data_of(repairs[i].bytes, RECORD_UUID_LEN);
    hello.repair_region_ids = repair_ids;
    if (session->pace.bytes < session->pace.most)
        hello.batch_bytes = session->pace.bytes;
    if (session->options.app_version != NULL)
        hello.app_version = (char *)session->options.app_version;
    request.request_case = OUTPOST__V1__SYNC_REQUEST__REQUEST_HELLO;
    request.hello = &hello;
    return put_request(session, &request);
}

static bool put_push_done(struct sync_session *session)
{
    Outpost__V1__SyncRequest request = OUTPOST__V1__SYNC_REQUEST__INIT;
    Outpost__V1__PushDone done = OUTPOST__V1__PUSH_DONE__INIT;

    request.request_case = OUTPOST__V1__SYNC_REQUEST__REQUEST_PUSH_DONE;
    request.push_done = &done;
    return put_request(session, &request);
}

static struct push_flight *next_flight(struct sync_session *session)
{
    size_t at = (session->flight_first + session->flight_count) % PUSH_FLIGHTS_MAX;
    struct push_flight *flight = &session->flights[at];

    if (flight->entries == NULL)
        flight->entries = calloc(PUSH_ITEMS_MAX, sizeof *flight->entries);
    if (flight->entries == NULL)
        store_fail(session->store, OUTPOST_IO, "no memory");
    return flight->entries != NULL ? flight : NULL;
}

static bool more_to_push(struct sync_session *session, bool *more_out)
{
    for (;;) {
        session->position.end = outbox_end(&session->sealing);
        if (!push_more(session->store, &session->position, more_out))
            return false;
        if (*more_out || session->sealing.done)
            return true;
        if (!outbox_seal_part(session->store, &session->sealing))
            return false;
    }
}

/* The next Push as the window allows, or PushDone when the outbox is through. */
static bool put_push(struct sync_session *session)
{
    struct push_limits limits = {.items = session->push_items, .bytes = session->pace.bytes};
    struct push_flight *flight;
    bool more;

    if (!more_to_push(session, &more))
        return false;
    if (!more) {
        set_state(session, STATE_PULLING);
        pace_begins(&session->pace, ticks_ms(session));
        return put_push_done(session);
    }
    if (session->flight_count == PUSH_FLIGHTS_MAX)
        return true;
    flight = next_flight(session);
    if (flight == NULL ||
        !push_next(session->store, &session->position, &limits, flight, &session->message))
        return false;
    session->flight_count++;
    pace_begins(&session->pace, ticks_ms(session));
    return true;
}

bool sync_session_next(struct sync_session *session, enum session_step *step_out,
                       struct rpc_bytes *message_out)
{
    bool good = true;

    rpc_buffer_clear(&session->message);
    switch (session->state) {
    case STATE_SEALED:
        set_state(session, STATE_PUSHING);
        good = put_hello(session);
        break;
    case STATE_PUSHING:
        if (sync_session_waits(session)) {
            set_state(session, STATE_CLOSED);
            *step_out = SESSION_HALF_CLOSE;
            return true;
        }
        if (session->welcomed || !session->asks_first)
            good = put_push(session);
        break;
    case STATE_PULLING:
        if (!session->options.follow || session->finishing) {
            set_state(session, STATE_CLOSED);
            *step_out = SESSION_HALF_CLOSE;
            return true;
        }
        break;
    case STATE_CLOSED:
        break;
    case STATE_FAILED:
        return false;
    }
    if (!good)
        return fail(session);
    if (session->message.len > 0) {
        *step_out = SESSION_SEND;
        *message_out = rpc_buffer_view(&session->message);
        session->waited = false;
        return true;
    }
    session->result.round_trips += !session->waited;
    session->waited = true;
    *step_out = SESSION_WAIT;
    return true;
}

void sync_session_finish(struct sync_session *session)
{
    session->finishing = true;
}

/* ---- In ---------------------------------------------------------------------------------- */

/* The server's word on where the device works, kept when it is news, and when the app
 * has not switched to another facility since Hello. */
static bool keep_welcome(struct sync_session *session, const struct device_state *news)
{
    struct store *store = session->store;
    const struct device_state *known = &session->device;
    sqlite3_stmt *statement;

    if (record_uuid_compare(&news->facility_id, &known->facility_id) == 0 &&
        record_uuid_compare(&news->family_region_id, &known->family_region_id) == 0 &&
        news->accepts_zstd == known->accepts_zstd &&
        memcmp(&news->settings, &known->settings, sizeof known->settings) == 0)
        return true;
    if (!store_begin(store, STORE_NORMAL))
        return false;
    statement = store_statement(store, STORE_STATE_WELCOME_SET);
    store_bind_uuid(statement, 1, &news->facility_id);
    store_bind_uuid(statement, 2, &news->family_region_id);
    store_bind_uuid(statement, 9, &known->facility_id);
    if (statement != NULL) {
        sqlite3_bind_int(statement, 3, news->accepts_zstd);
        sqlite3_bind_int64(statement, 4, news->settings.push_batch);
        sqlite3_bind_int64(statement, 5, news->settings.batch_bytes);
        sqlite3_bind_int64(statement, 6, news->settings.sync_interval_s);
        sqlite3_bind_int64(statement, 7, news->settings.pause);
        sqlite3_bind_int64(statement, 8, news->settings.compression);
    }
    if (!store_run(store, statement) || !store_commit(store))
        return false;
    session->device.facility_id = news->facility_id;
    session->device.family_region_id = news->family_region_id;
    session->device.accepts_zstd = news->accepts_zstd;
    session->device.settings = news->settings;
    return true;
}

/* The server was restored: what it forgot is noted durably, and goes with the
 * next call (R8, R22). */
static bool note_loss(struct sync_session *session, bool reset, bool resend)
{
    struct store *store = session->store;

    if (!reset && !resend)
        return true;
    return store_begin(store, STORE_FULL) &&
           (!reset || store_run(store, store_statement(store, STORE_OFFER_DUE_SET))) &&
           aside_offer_all(store) && (!resend || resend_journal(store)) && store_commit(store);
}

/* What is answered in this session is known by its time (R21), which must be no
 * earlier session's: clocks stand still and go back. */
static bool name_session(struct sync_session *session)
{
    struct store *store = session->store;
    sqlite3_stmt *statement = store_statement(store, STORE_ANSWERED_LAST_IN_SECOND);

    if (statement != NULL)
        sqlite3_bind_int64(statement, 1, session->options.now_ms);
    if (store_step(store, statement) == STORE_ROW && sqlite3_column_int64(statement, 0) != 0)
        session->options.now_ms = sqlite3_column_int64(statement, 0) + 1;
    sqlite3_reset(statement);
    return store_ok(store);
}

static bool take_welcome(struct sync_session *session, const Outpost__V1__Welcome *welcome)
{
    struct device_state news = {.accepts_zstd = welcome->accepts_zstd,
                                .family_region_id = session->device.family_region_id,
                                .settings = session->device.settings};
    const Outpost__V1__Settings *settings = welcome->settings;
    bool reset = false;

    if (welcome->n_regions > OUTPOST_REGIONS_MAX ||
        !record_uuid_from_bytes(rpc_bytes_view(welcome->facility_id.data, welcome->facility_id.len),
                                &news.facility_id))
        return store_fail(session->store, OUTPOST_BUG, "the server sent a malformed Welcome");
    for (size_t i = welcome->n_regions; i-- > 0;) {
        const Outpost__V1__RegionTotal *region = welcome->regions[i];
        reset = reset || region->reset;
        struct record_uuid id;
        if (!record_uuid_from_bytes(rpc_bytes_view(region->region_id.data, region->region_id.len),
                                    &id))
            return store_fail(session->store, OUTPOST_BUG, "the server sent a malformed Welcome");
        if (!record_uuid_is_zero(&id))
            news.family_region_id = id;
        session->to_pull += region->remaining;
    }
    if (settings != NULL) {
        news.settings = (struct device_settings){
            .push_batch = settings->push_batch,
            .batch_bytes = settings->batch_bytes,
            .sync_interval_s = settings->sync_interval_s,
            .pause = settings->pause,
            .compression = settings->compression,
        };
        set_limits(session, &news.settings);
    }
    /* The journal's days are counted by the server's clock: a phone's may be years
     * ahead, and would empty it. */
    if (welcome->server_time_ms > 0)
        session->options.now_ms = welcome->server_time_ms;
    session->welcomed = true;
    return name_session(session) && keep_welcome(session, &news) &&
           note_loss(session, reset, welcome->resend_acknowledged) &&
           withheld_take(session->store, welcome);
}

static bool receive_welcome(struct sync_session *session, struct rpc_bytes bytes)
{
    Outpost__V1__Welcome *welcome;
    bool good;

    if (session->welcomed)
        return out_of_turn(session, "a second Welcome");
    welcome = outpost__v1__welcome__unpack(NULL, bytes.len, bytes.data);
    if (welcome == NULL)
        return store_fail(session->store, OUTPOST_BUG, "the server sent a malformed Welcome");
    good = take_welcome(session, welcome);
    outpost__v1__welcome__free_unpacked(welcome, NULL);
    return good;
}

/* Within the transaction of the answers: then a part costs no other. */
static bool seal_ahead(struct sync_session *session)
{
    uint32_t ahead;

    if (session->sealing.done)
        return true;
    return push_ahead(session->store, &session->position, session->push_items + 1, &ahead) &&
           (ahead > session->push_items || outbox_seal_more(session->store, &session->sealing));
}

static bool receive_push_result(struct sync_session *session, struct rpc_bytes bytes)
{
    struct store *store = session->store;
    struct outpost_sync_result counted = session->result;

    if (session->flight_count == 0)
        return out_of_turn(session, "an answer to no push");
    if (!store_begin(store, STORE_FULL) ||
        !push_apply_result(store, &session->flights[session->flight_first], bytes,
                           session->options.now_ms, &counted) ||
        !seal_ahead(session) || !store_commit(store))
        return false;
    session->result = counted;
    pace_passed(&session->pace, session->flights[session->flight_first].len, ticks_ms(session),
                session->flight_count > 1 || session->state != STATE_PUSHING);
    session->flight_first = (session->flight_first + 1) % PUSH_FLIGHTS_MAX;
    session->flight_count--;
    return true;
}

static bool receive_pull(struct sync_session *session, struct rpc_bytes bytes)
{
    if (session->flight_count > 0 || session->state < STATE_PULLING)
        return out_of_turn(session, "a page before the answers to all pushes");
    pace_passed(&session->pace, bytes.len, ticks_ms(session), true);
    return pull_apply(session->store, bytes, session->options.now_ms, &session->result);
}

static bool receive_caught_up(struct sync_session *session, struct rpc_bytes bytes)
{
    if (session->flight_count > 0 || session->state < STATE_PULLING)
        return out_of_turn(session, "CaughtUp before the answers to all pushes");
    pace_rests(&session->pace);
    return pull_caught_up(session->store, bytes, session->options.now_ms, &session->result) &&
           keep_pace(session);
}

static bool receive(struct sync_session *session, struct rpc_bytes message)
{
    struct wire_reader reader = wire_reader_over(message);
    struct wire_field field;

    if (wire_read(&reader, &field) != WIRE_FIELD || field.type != WIRE_LEN)
        return store_fail(session->store, OUTPOST_BUG, "the server sent a malformed message");
    if (field.number == RESPONSE_WIPE_ORDER)
        return wipe_take_order(session->store, field.bytes, &session->device);
    if (!session->welcomed && field.number != RESPONSE_WELCOME)
        return out_of_turn(session, "something before Welcome");
    switch (field.number) {
    case RESPONSE_WELCOME:
        return receive_welcome(session, field.bytes);
    case RESPONSE_PUSH_RESULT:
        return receive_push_result(session, field.bytes);
    case RESPONSE_PULL:
        return receive_pull(session, field.bytes);
    case RESPONSE_CAUGHT_UP:
        return receive_caught_up(session, field.bytes);
    default:
        return true; /* of a newer server; what we must know, it sends as the above */
    }
}

bool sync_session_receive(struct sync_session *session, struct rpc_bytes message)
{
    if (session->state == STATE_SEALED || session->state == STATE_FAILED)
        return false;
    return receive(session, message) || fail(session);
}

/* ---- What it came to --------------------------------------------------------------------------
 */

bool sync_session_caught_up(const struct sync_session *session)
{
    return session->state != STATE_FAILED && session->result.caught_up;
}

enum rpc_encoding sync_session_encoding(const struct sync_session *session)
{
    switch (session->device.settings.compression) {
    case OUTPOST__V1__COMPRESSION__COMPRESSION_OFF:
        return RPC_ENCODING_IDENTITY;
    case OUTPOST__V1__COMPRESSION__COMPRESSION_GZIP:
        return RPC_ENCODING_GZIP;
    default:
        return session->device.accepts_zstd ? RPC_ENCODING_ZSTD : RPC_ENCODING_GZIP;
    }
}

bool sync_session_paused(const struct sync_session *session)
{
    return session->welcomed && session->device.settings.pause != 0;
}

bool sync_session_waits(const struct sync_session *session)
{
    return session->asks_first && sync_session_paused(session);
}

bool sync_session_elsewhere(const struct sync_session *session)
{
    struct device_state now;
    bool elsewhere;

    device_state_init(&now);
    elsewhere = device_state_load(session->store, &now) &&
                record_uuid_compare(&now.facility_id, &session->device.facility_id) != 0;
    device_state_deinit(&now);
    return elsewhere;
}

uint32_t sync_session_interval_s(const struct sync_session *session)
{
    return clamp(session->device.settings.sync_interval_s, SYNC_INTERVAL_DEFAULT_S,
                 SYNC_INTERVAL_MAX_S);
}

const struct outpost_sync_result *sync_session_result(const struct sync_session *session)
{
    return &session->result;
}

struct outpost_progress sync_session_progress(const struct sync_session *session)
{
    return (struct outpost_progress){
        .pushed = session->result.pushed + session->result.retried,
        .to_push = session->to_push,
        .pulled = session->result.pulled,
        .to_pull = session->to_pull,
    };
}
