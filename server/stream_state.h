/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of a stream: its state, shared by stream.c (life, messages, pushes),
 * hello.c (who it is and where it stands) and pull.c (pages and CaughtUp). See
 * stream.h and the diagram in stream.c.
 */
#ifndef OUTPOST_SERVER_STREAM_STATE_H
#define OUTPOST_SERVER_STREAM_STATE_H

#include "cursor.h"
#include "stream.h"

/* Field numbers of sync.proto, for the messages that are put together by hand so
 * that stored bytes pass through as they are. */
enum {
    REQUEST_HELLO = 1,
    REQUEST_PUSH = 2,
    REQUEST_PUSH_DONE = 3,
    RESPONSE_WELCOME = 1,
    RESPONSE_PUSH_RESULT = 2,
    RESPONSE_PULL = 3,
    RESPONSE_CAUGHT_UP = 4,
    RESPONSE_WIPE_ORDER = 5,
    HELLO_SCHEMA_REVISION = 1,
    HELLO_CURSOR = 2,
    HELLO_RECEIPT = 3,
    HELLO_FACILITY_ID = 4,
    HELLO_TOKEN = 5,
    HELLO_APP_VERSION = 7,
    HELLO_REPAIR_REGION_IDS = 8,
    HELLO_BATCH_BYTES = 9,
    WELCOME_SETTINGS = 1,
    WELCOME_REGIONS = 2,
    WELCOME_FACILITY_ID = 3,
    WELCOME_SERVER_TIME_MS = 4,
    WELCOME_SCHEMA_REVISION = 5,
    WELCOME_ACCEPTS_ZSTD = 6,
    WELCOME_RESEND_ACKNOWLEDGED = 7,
    WELCOME_MINIMUM_REVISION = 8,
    WELCOME_RECOMMENDED_REVISION = 9,
    WELCOME_WITHHELD_TYPES = 10,
    WELCOME_WITHHELD_FIELDS = 11,
    WITHHELD_TYPE = 1,
    WITHHELD_FIELD = 2,
    SETTINGS_PUSH_BATCH = 1,
    SETTINGS_PULL_BATCH = 2,
    SETTINGS_BATCH_BYTES = 3,
    SETTINGS_SYNC_INTERVAL_S = 4,
    SETTINGS_PAUSE = 5,
    SETTINGS_COMPRESSION = 6,
    TOTAL_REGION_ID = 1,
    TOTAL_RECORDS = 2,
    TOTAL_REMAINING = 3,
    TOTAL_RESET = 4,
    PUSH_RESULT_CURSOR = 3,
    PULL_CURSOR = 3,
    PULL_SNAPSHOT_COMPLETE = 4,
    PULL_SNAPSHOT_BEGIN = 5,
    CAUGHT_UP_CURSOR = 1,
    CAUGHT_UP_REGIONS = 2,
    CAUGHT_UP_NEXT_TOKEN = 3,
    WIPE_ORDER_DEVICE_ID = 1,
    WIPE_ORDER_ORDERED_AT_MS = 2,
    WIPE_ORDER_TOKEN = 3,
    WIPE_ORDER_SIGNATURE = 4,
    STATE_REGION_ID = 1,
    STATE_SEQ = 2,
    STATE_RECORDS = 3,
    STATE_DIGEST = 4,
    MESSAGE_BYTES_MAX = 4 * 1024 * 1024,
};

enum state {
    STATE_AWAIT_HELLO,
    STATE_OPENING,   /* the store is asked who this is and where it stands */
    STATE_PUSHING,   /* Welcome is sent; pushes are taken */
    STATE_PULLING,   /* pages are sent, region by region */
    STATE_SETTLING,  /* heads and digests are asked for */
    STATE_FOLLOWING, /* caught up; waiting for changes */
    STATE_ENDED,
};

/* Seqs of a region whose rows need not be sent back in this stream (R19),
 * ascending runs. */
struct own_runs {
    struct own_run {
        uint64_t first, last;
    } * runs;
    size_t count;
};

struct stream {
    const struct stream_service *service;
    struct stream_peer peer;
    enum state state;
    struct record_uuid device_id;
    struct scope_device device;
    unsigned owed; /* requests that the store has not answered */
    unsigned busy; /* entered functions: finishing a call may close it at once */
    bool closed;   /* the call is gone */
    bool half_closed;
    bool push_done;
    bool journal_came; /* what is sent again to a restored server */
    bool paused;
    unsigned pushes_in_flight;
    bool has_held_message;
    struct rpc_buffer held_message; /* came while OPENING */
    struct cursor cursor;           /* the regions in scope, global first; then those it leaves */
    size_t scope_count;             /* of the regions in scope */
    struct rpc_buffer cursor_told;  /* the last one that the device has, encoded */
    uint8_t presented_token[TOKEN_LEN]; /* zeros: none */
    bool token_presented;
    /* Regions that the device wants anew (R24). */
    struct record_uuid repairs[STORE_REGIONS_PER_DEVICE_MAX];
    size_t repair_count;
    struct store_sync sync; /* what the device says of itself, and how this goes */
    bool admitted;          /* R18: its syncs count */
    bool noted;             /* this one is noted, or need not be */
    uint64_t asked_bytes;   /* of a page, for the device's link; 0: as the settings say */
    bool token_given;
    size_t pulling; /* index of the region being pulled */
    bool page_owed;
    bool behind[2];
    struct own_runs own[2]; /* of the global region, of the device's */
    /* Families that entered the region in this stream: the marker made the device drop
     * them, so all of them is sent, its own work too (R19). */
    struct record_uuid *entered;
    size_t entered_count;
    struct store_hello hello;
    struct store_page page;
    struct store_caught_up caught_up;
    struct store_sync_note note;
    struct rpc_buffer message;
};

/* ---- stream.c ------------------------------------------------------------ */

/* Asserts that the edge is legal. */
void stream_set_state(struct stream *stream, enum state state);

/* Every way into the stream from outside is between enter and leave; leave may
 * free it. */
void stream_enter(struct stream *stream);
void stream_leave(struct stream *stream);

/* Ends the call; also a refusal: what is in flight is then read and dropped (R18). */
void stream_end(struct stream *stream, struct rpc_status status);

void stream_set_paused(struct stream *stream, bool paused);

/* Asks the store. Each answer goes through stream_answered first, which enters;
 * false: nobody waits for it. */
void stream_submit(struct stream *stream, struct store_request *request, enum store_kind kind,
                   void (*done)(struct store_request *));
bool stream_answered(struct stream *stream, const struct store_request *request);

/* Sends SyncResponse{number: parts}: the parts, one after the other, are the
 * inner message. A part that failed ends the stream: no memory. */
void stream_send(struct stream *stream, uint32_t number, const struct rpc_buffer *const *parts,
                 size_t part_count);
/* Adds the cursor, unless the device has just that one. */
void stream_put_cursor(struct stream *stream, uint32_t number, struct rpc_buffer *buffer);
void stream_put_id(struct rpc_buffer *buffer, uint32_t number, const struct record_uuid *id);

/* A message that came; the state is not ENDED. */
void stream_take_message(struct stream *stream, struct rpc_bytes message);

/* Does whatever can be done next, and stops where the stream has to wait: for
 * the store, for the client, or for room to write. */
void stream_pump(struct stream *stream);

/* ---- refuse.c ------------------------------------------------------------ */

void stream_end_refused(struct stream *stream, const struct store_refusal *refusal);
/* R23: another copy of the device's database has synced since. */
void stream_end_copied(struct stream *stream);

/* Below the revision that the device needs to pull (rollout.h): what it had to push is
 * taken, and it is told to upgrade. */
void stream_end_too_old(struct stream *stream);
/* Notes an admitted sync that ends before CaughtUp, once. */
void stream_note(struct stream *stream, bool failed);

/* ---- hello.c ------------------------------------------------------------- */

void stream_take_hello(struct stream *stream, struct rpc_bytes hello);

/* ---- pull.c -------------------------------------------------------------- */

void stream_forget_own(struct stream *stream);
void stream_note_applied(struct stream *stream, const struct push_batch *batch);
void stream_begin_pull(struct stream *stream);
void stream_pull(struct stream *stream);

#endif
