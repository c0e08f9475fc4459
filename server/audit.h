/* SPDX-License-Identifier: Apache-2.0
 *
 * The log's hash chain (R3).
 *
 * Each entry's hash covers the hash before it and the whole entry, and the
 * mutation's bytes through their id; so a cursor names a history and not only a
 * number, and any edit, removal or reordering of the log is found by walking it.
 */
#ifndef OUTPOST_SERVER_AUDIT_H
#define OUTPOST_SERVER_AUDIT_H

#include "outpost/record.h"

enum { AUDIT_HASH_LEN = 16 };

enum audit_kind {
    AUDIT_RECORD = 1,  /* a record changed by a mutation */
    AUDIT_LEFT = 2,    /* a family left the region, by a mutation of its root (R16) */
    AUDIT_ENTERED = 3, /* a family entered it */
    AUDIT_COPY = 4,    /* a record as it came with its family; there is no mutation */
};

struct audit_entry {
    uint64_t seq;
    enum audit_kind kind;
    struct record_key key;
    uint64_t version;
    uint64_t stamp;
    struct record_mutation_id mutation_id;
    struct record_uuid device;
    int64_t received_at_ms; /* the server's clock; shown, decides nothing (I11) */
};

/* The hash of an entry that follows one with hash `before` (zeros for seq 1). */
void audit_hash(struct record_hasher *hasher, const uint8_t before[AUDIT_HASH_LEN],
                const struct audit_entry *entry, uint8_t hash_out[AUDIT_HASH_LEN]);

#endif
