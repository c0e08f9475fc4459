/* SPDX-License-Identifier: Apache-2.0
 *
 * Push: a batch of mutations becomes answers, records and log entries.
 *
 * The decision alone, without a database. An engine asks push_needs() what a
 * batch touches, reads that inside its transaction (after locking the region
 * counters, R10) into a push_set, lets push_decide() work on the set, and
 * writes what came out of it. Several batches may be decided one after the
 * other over one set: that is group commit.
 *
 * Invariants: I2 (a known mutation has no second effect), I3 (a seq for each
 * accepted mutation, in order), I6 (nothing disappears), I8 (no change, no seq).
 *
 * Threads: one set, one thread at a time.
 */
#ifndef OUTPOST_SERVER_PUSH_H
#define OUTPOST_SERVER_PUSH_H

#include "arena.h"
#include "audit.h"
#include "merge.h"
#include "scope.h"
#include "type_sums.h"

#include <uthash.h>

enum {
    /* Items of one Push: what one transaction takes from one stream. */
    PUSH_ITEMS_MAX = 5000,
    /* Bytes of one PushResult; answers with records that do not fit are given
     * as RETRY and answered in full when the item comes again (R11). */
    PUSH_RESULT_BYTES_MAX = 3 * 1024 * 1024,
    /* Memory of one set: a transaction of the largest batches and its records. */
    PUSH_SET_BYTES_MAX = 512 * 1024 * 1024,
    /* Receipts kept per device (R8). */
    PUSH_RECEIPTS_MAX = 64,
};

/* The numbers of outpost.v1.AnswerStatus and outpost.v1.Reason; push.c checks. */
enum push_status {
    PUSH_APPLIED = 0,
    PUSH_MERGED = 1,
    PUSH_NO_EFFECT = 2,
    PUSH_QUARANTINED = 3,
    PUSH_OUT_OF_SCOPE = 4,
    PUSH_RETRY = 5,
};

enum push_reason {
    PUSH_REASON_NONE = 0,
    PUSH_REASON_MALFORMED = RECORD_PROBLEM_MALFORMED,
    PUSH_REASON_NOT_YOURS = 7,
    PUSH_REASON_NOT_ADMIN = 8,
    PUSH_REASON_UNKNOWN_FACILITY = 9,
    PUSH_REASON_MERGE_INVALID = 10,
    PUSH_REASON_TOO_LARGE = RECORD_PROBLEM_TOO_LARGE,
    PUSH_REASON_PARENT_MISSING = 32,
    PUSH_REASON_UNKNOWN_BASE = 33,
    PUSH_REASON_BUSY = 34,
};

/* "quarantined", "parent missing"; never NULL. */
const char *push_status_text(enum push_status status);
const char *push_reason_text(enum push_reason reason);

/* ---- A batch: one Push message ------------------------------------------ */

struct push_outcome {
    enum push_status status;
    enum push_reason reason;
    uint32_t field;
};

struct push_item {
    struct rpc_bytes bytes; /* the mutation's exact bytes, in the batch's arena */
    uint64_t held_stamp;
    uint64_t acknowledged_version; /* 0: not sent again to a restored server */
    bool waits;                    /* its author's journal goes first (R8): RETRY */
    struct record_mutation_id id;
    bool parsed; /* else malformed; key may still be zeros */
    struct record_mutation *mutation;
    struct push_outcome outcome; /* out: what was decided; its answer may say less (R15) */
};

/* What was applied as sent: what need not be sent back in this stream (R19).
 * A row's seq is that of its last change, so it names the very state that the
 * device computed; a later change, or a family that enters anew, gives another. */
struct push_applied {
    bool global;  /* in the global region, else in the stream's */
    uint64_t seq; /* of the row there */
};

struct push_batch {
    struct arena arena;
    struct scope_device device;
    int64_t now_ms;
    bool again; /* from the quarantine: known ids are decided anew, no receipt is made */
    size_t item_count;
    struct push_item *items;
    /* out */
    struct rpc_buffer result; /* PushResult without its cursor */
    size_t applied_count;
    struct push_applied *applied;
};

enum push_prepare_status {
    PUSH_PREPARED,
    PUSH_NOT_A_PUSH, /* not decodable as outpost.v1.Push */
    PUSH_TOO_MANY,   /* more than PUSH_ITEMS_MAX */
    PUSH_NO_MEMORY,
};

/* Copies, parses and hashes a Push message. The batch is the caller's to free. */
enum push_prepare_status push_prepare(struct rpc_bytes push, const struct scope_device *device,
                                      int64_t now_ms, struct record_hasher *hasher,
                                      struct push_batch **batch_out);

/* A batch of the server's own (import, administration): mutations already
 * encoded, held stamps as given. */
struct push_batch *push_batch_new(const struct scope_device *device, int64_t now_ms);
bool push_batch_add(struct push_batch *batch, struct rpc_bytes mutation, uint64_t held_stamp,
                    struct record_hasher *hasher);
void push_batch_free(struct push_batch *batch);

/* ---- A set: what a transaction knows ------------------------------------ */

struct push_record {
    struct record_key key;
    bool loaded;      /* the engine has looked */
    bool stored;      /* and has found it, in what it has stored */
    uint64_t version; /* 0: there is none */
    bool deleted;
    uint64_t stamp;
    struct rpc_bytes body; /* canonical */
    struct rpc_bytes past;
    UT_hash_handle hh;
};

struct push_family {
    struct record_uuid id;
    bool loaded;
    struct scope_regions regions; /* where the family is; none: it is not there yet */
    bool whole;                   /* all its records are needed: it may move (R16) */
    bool whole_loaded;
    bool stored; /* the engine has it, whatever its regions */
    bool dirty;  /* its regions changed */
    /* Where its facilities list it (R21), and where the store still does; known once
     * its root has changed in this set. */
    bool placed;
    struct scope_facilities facilities, stored_facilities;
    struct scope_regions stored_regions;
    UT_hash_handle hh;
};

struct push_known_key {
    struct record_uuid region; /* the author's enrolment region */
    struct record_mutation_id id;
};

struct push_known {
    struct push_known_key key;
    struct record_uuid family; /* where a store keeps it; zeros: global or malformed */
    bool loaded;
    bool stored; /* as in push_record */
    bool present;
    enum push_status status; /* MERGED (accepted), NO_EFFECT or QUARANTINED */
    enum push_reason reason;
    uint32_t field;
    bool dirty;
    UT_hash_handle hh;
};

struct push_region {
    struct record_uuid id;
    bool loaded;
    uint64_t last_seq;
    uint8_t last_hash[AUDIT_HASH_LEN];
    uint64_t records; /* living */
    uint64_t digest;
    struct type_sums types;
    bool dirty;
    UT_hash_handle hh;
};

struct push_receipts_key {
    struct record_uuid region;
    struct record_uuid device;
};

struct push_receipts {
    struct push_receipts_key key;
    bool loaded;
    uint8_t last[AUDIT_HASH_LEN]; /* zeros: none */
    /* Those made in this transaction, newest first: each goes out with an answer, which
     * may be the last that the device gets. */
    size_t made_count;
    uint8_t made[PUSH_RECEIPTS_MAX][AUDIT_HASH_LEN];
    UT_hash_handle hh;
};

/* What must be written. First the purges, then rows and markers (each region's
 * copy of a record once, however often it changed), then the lists below. */

/* A family's rows that leave a region. */
struct push_purge {
    struct push_purge *next;
    struct record_uuid region;
    struct record_uuid family;
};

struct push_row_key {
    struct record_uuid region;
    struct record_key key;
};

struct push_row {
    struct push_row_key key;
    const struct push_record *record;
    uint64_t seq;
    UT_hash_handle hh;
};

struct push_marker_key {
    struct record_uuid region;
    struct record_uuid family;
};

struct push_marker {
    struct push_marker_key key;
    bool loaded;
    enum push_marker_kind {
        PUSH_MARKER_NONE = 0,
        PUSH_MARKER_LEFT = 1,
        PUSH_MARKER_ENTERED = 2,
    } kind;
    uint64_t seq;
    bool dirty;
    UT_hash_handle hh;
};

/* To be inserted, in this order. */
struct push_log {
    struct push_log *next;
    struct record_uuid region;
    struct audit_entry entry;
    uint8_t hash[AUDIT_HASH_LEN];
    struct rpc_bytes mutation;
};

struct push_quarantine {
    struct push_quarantine *next;
    struct push_known *known; /* its status, reason and field */
    struct record_uuid device;
    int64_t received_at_ms;
    struct rpc_bytes mutation;
};

/* A conflict entry (R12): one per mutation, all its clashes. */
struct push_conflict {
    struct push_conflict *next;
    struct record_uuid region;
    struct record_key key;
    struct record_mutation_id mutation_id;
    struct record_uuid device;
    uint64_t version; /* the record's, after the merge */
    int64_t received_at_ms;
    struct rpc_bytes clashes; /* encoded, see clash.h */
    struct rpc_bytes mutation;
};

struct push_set {
    struct arena arena;
    const struct scope_roles *roles;
    struct record_hasher *hasher;
    struct push_record *records;
    struct push_family *families;
    struct push_known *known;
    struct push_region *regions;
    struct push_receipts *receipts;
    struct push_purge *purges, **purges_end;
    struct push_row *rows;
    struct push_marker *markers;
    struct push_log *logs, **logs_end;
    struct push_quarantine *quarantines, **quarantines_end;
    struct push_conflict *conflicts, **conflicts_end;
    struct push_work *work; /* scratch of push_decide */
    bool failed;            /* out of memory: roll back */
};

void push_set_init(struct push_set *set, const struct scope_roles *roles,
                   struct record_hasher *hasher);
void push_set_deinit(struct push_set *set);

/* Adds to the set, not loaded, everything that deciding the batch will look at.
 * First call: what the batch names by itself. An engine loads it, then calls
 * push_needs_more() until it adds nothing: what follows from what was loaded (a
 * family's region, a facility's). False: no memory. */
bool push_needs(struct push_set *set, const struct push_batch *batch);
bool push_needs_more(struct push_set *set, const struct push_batch *batch, bool *added_out);

/* Decides every item in order over the set; fills batch->result. */
bool push_decide(struct push_set *set, struct push_batch *batch);

#endif
