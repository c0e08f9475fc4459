/* SPDX-License-Identifier: Apache-2.0
 *
 * One sync as a state machine without I/O: SyncResponse bytes in, SyncRequest
 * bytes out. No sockets, no clock, no files but the store it is given, so that a
 * test, a simulator and the driver (sync.c) run the same code.
 *
 * Promises: nothing is sent before it is sealed (I1), and sealing goes on while the server
 * is busy with what was sent; everything is sent before
 * PushDone, with at most PUSH_FLIGHTS_MAX unanswered; a server that answers out
 * of turn ends the session and never changes the store.
 */
#ifndef OUTPOST_CLIENT_SESSION_H
#define OUTPOST_CLIENT_SESSION_H

#include "store.h"

#include "outpost/rpc.h"

struct sync_session;

struct sync_session_options {
    int64_t now_ms; /* ms since 1970, when the session starts */
    bool follow;    /* do not half-close after PushDone */
    const char *app_version;
    uint32_t seal_part; /* outbox_options.part */
    /* ms since some moment, never back: how fast the link is. NULL: not measured. */
    int64_t (*ticks_ms)(void);
};

/* What the driver does next. */
enum session_step {
    SESSION_SEND,       /* send the message, ask again */
    SESSION_HALF_CLOSE, /* half-close, ask again */
    SESSION_WAIT,       /* nothing before the next message from the server */
};

/* Seals what goes first of what is pending. False: see the store's status; nothing to free. */
STORE_MUST_USE bool sync_session_new(struct store *store,
                                     const struct sync_session_options *options,
                                     struct sync_session **session_out);
void sync_session_free(struct sync_session *session);

/* The message lives until the next call. */
STORE_MUST_USE bool sync_session_next(struct sync_session *session, enum session_step *step_out,
                                      struct rpc_bytes *message_out);

/* Applies one SyncResponse. False: see the store's status; the session is over. */
STORE_MUST_USE bool sync_session_receive(struct sync_session *session, struct rpc_bytes message);

/* Follow mode: the next step is the half-close. */
void sync_session_finish(struct sync_session *session);

/* The link is lost. What it could not carry is remembered, and the next session's
 * messages are smaller; see pace.h. */
STORE_MUST_USE bool sync_session_broke(struct sync_session *session);

/* CaughtUp came at least once, and what was pushed is answered. */
bool sync_session_caught_up(const struct sync_session *session);

/* How to compress what is sent: as the last Welcome said, with what the server takes. */
enum rpc_encoding sync_session_encoding(const struct sync_session *session);

/* This stream's Welcome told the device not to sync by itself; a follower then does
 * not stay. */
bool sync_session_paused(const struct sync_session *session);
/* The same, and it had been told before: it sent nothing but Hello, and got nothing. */
bool sync_session_waits(const struct sync_session *session);
/* The device works at another facility than this stream's (R18). */
bool sync_session_elsewhere(const struct sync_session *session);
/* Seconds until a follower that has to wait asks again. */
uint32_t sync_session_interval_s(const struct sync_session *session);

/* Of this session so far; the bytes and the duration are the driver's. */
const struct outpost_sync_result *sync_session_result(const struct sync_session *session);
/* The same as progress; the bytes are the driver's. */
struct outpost_progress sync_session_progress(const struct sync_session *session);

#endif
