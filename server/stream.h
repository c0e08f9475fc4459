/* SPDX-License-Identifier: Apache-2.0
 *
 * Stream: one Sync call, from Hello to CaughtUp (PROTOCOL.md, "Stream").
 *
 * A state machine without I/O: messages come in, messages go out through a
 * small vtable, and everything durable is asked of the store, which answers
 * later. One stream, one thread (the one that drains the store).
 */
#ifndef OUTPOST_SERVER_STREAM_H
#define OUTPOST_SERVER_STREAM_H

#include "store.h"

#include "outpost/wipe.h"

enum {
    /* Pushes of one stream under way in the store: what a lost server process
     * makes a device send again, and how much memory one device holds here. */
    STREAM_PUSHES_IN_FLIGHT_MAX = 4,
    /* Runs of seqs that a stream remembers not to send back (R19): one for all
     * that it pushed alone, one more for each time that others came between.
     * Past it rows are sent, which costs bytes and harms nothing. */
    STREAM_OWN_RUNS_MAX = 20000,
    /* Families whose markers ended that in this stream. Past it all rows are sent. */
    STREAM_ENTERED_MAX = 256,
    /* The least that a device waits after a failure of the server's; twice as long the
     * most. */
    STREAM_PUSHBACK_MS = 2000,
};

/* What every stream of a server stands on; lives longer than they do. */
struct stream_service {
    struct store *store;
    struct scope_roles roles;
    struct settings settings;          /* of a device for which nothing else is set */
    struct record_hasher *hasher;      /* of the streams' thread */
    int64_t (*time_ms)(void *context); /* wall clock, ms since 1970 */
    void (*random)(void *context, uint8_t *bytes, size_t len);
    /* With the CA's key; false: it cannot. */
    bool (*sign)(void *context, const struct wipe_signed *order,
                 struct wipe_signature *signature_out);
    void *context;
};

/* The other end of the call. finish() is called once; nothing is sent after. */
struct stream_peer {
    void (*send)(void *context, struct rpc_bytes message);
    bool (*writable)(void *context);
    void (*pause_reading)(void *context);
    void (*resume_reading)(void *context);
    void (*finish)(void *context, struct rpc_status status);
    /* Before finish: why, for a program (sync.proto); may be NULL: nobody asks. */
    void (*add_trailer)(void *context, const char *name, const char *value);
    /* Before the first message; may be NULL: this end does not compress. */
    void (*set_compression)(void *context, enum settings_compression compression);
    void *context;
};

struct stream;

/* A stream of the device with that id (from its certificate). NULL: no memory. */
struct stream *stream_new(const struct stream_service *service, const struct stream_peer *peer,
                          const struct record_uuid *device_id);

void stream_on_message(struct stream *stream, struct rpc_bytes message);
void stream_on_half_close(struct stream *stream);
void stream_on_writable(struct stream *stream);

/* The call is gone: nothing more is sent. The stream frees itself when the
 * store has answered what it still owes. */
void stream_on_close(struct stream *stream);

/* Whose stream this is, and where it stands; nowhere before Hello is answered. */
struct store_caller stream_caller(const struct stream *stream);

/* Ends the stream: its device may not go on. */
void stream_refuse(struct stream *stream, const struct store_refusal *refusal);

/* Tells a follower how far rollouts have changed: if it was greeted before, it ends, so
 * that its device is greeted anew. */
void stream_see_rollouts(struct stream *stream, uint64_t version);

/* Follow mode: whether the stream waits for changes, and in which regions (the
 * global one, then its own). */
bool stream_is_following(const struct stream *stream, struct record_uuid regions_out[2]);

/* Tells a follower that a region's head is at seq now. */
void stream_wake(struct stream *stream, const struct record_uuid *region_id, uint64_t seq);

#endif
