/* SPDX-License-Identifier: Apache-2.0
 *
 * A server small enough to be read in one sitting, for tests of the device: one
 * sync region, everything in memory, one mutation after the other. It follows
 * PROTOCOL.md R1, R2, R11-R14, R17, R19, R21 and R24; merge rules other than "the
 * later wins", scope and receipts are not its business.
 */
#ifndef OUTPOST_TESTS_MINI_SERVER_H
#define OUTPOST_TESTS_MINI_SERVER_H

#include "outpost/record.h"

enum { MINI_RECORDS_MAX = 2048, MINI_KNOWN_MAX = 8192, MINI_LINE = 256 };

struct mini_record {
    struct record_key key;
    uint64_t version, seq;
    bool deleted;
    struct rpc_buffer body;
    struct {
        uint64_t version;
        int device;
    } marks[RECORD_FIELDS_MAX]; /* by field number */
    uint64_t line[MINI_LINE];   /* stamp of each version */
};

struct mini_known {
    struct record_mutation_id id;
    uint32_t status, reason, field;
};

struct mini_server {
    const struct record_schema *schema;
    struct record_hasher *hasher;
    struct record_uuid region, facility;
    uint64_t seq;
    size_t record_count;
    struct mini_record *records;
    size_t known_count;
    struct mini_known *known;
    size_t mutations;      /* accepted, each once */
    struct rpc_buffer log; /* the bodies of all that was accepted or refused */
    size_t page;           /* records in one Pull */
    bool busy;             /* answers every mutation with retry */
    uint32_t out_of_scope; /* answers mutations of that type so */
};

/* One stream, as the server sees it. */
struct mini_stream {
    struct mini_server *server;
    int device;
    uint64_t at, high;
    bool snapshot, has_position, begun;
    bool done, half_closed;
    struct record_key position;
    struct rpc_buffer responses; /* each: varint length, bytes */
    size_t applied_count;
    struct {
        struct record_key key;
        uint64_t stamp;
    } applied[MINI_KNOWN_MAX];
};

struct mini_server *mini_server_new(const struct record_schema *schema);
void mini_server_free(struct mini_server *server);

/* What another device did: sets fields of a record by body bytes, or deletes it. */
void mini_server_put(struct mini_server *server, const struct record_key *key,
                     struct rpc_bytes body, bool deleted);
struct mini_record *mini_server_find(struct mini_server *server, const struct record_key *key);
/* Forgets a record without a trace, as one that left the scope. */
void mini_server_forget(struct mini_server *server, const struct record_key *key);
uint64_t mini_server_digest(struct mini_server *server, bool global, uint64_t *records_out);

struct mini_stream *mini_stream_new(struct mini_server *server, int device);
void mini_stream_free(struct mini_stream *stream);
void mini_stream_receive(struct mini_stream *stream, struct rpc_bytes request);
/* The next response, or false: nothing to say. The caller deinits the buffer. */
bool mini_stream_next(struct mini_stream *stream, struct rpc_buffer *response_out);
/* Queues a response of the test's own making. */
void mini_stream_inject(struct mini_stream *stream, uint32_t number, struct rpc_bytes message);

#endif
