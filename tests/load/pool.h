/* SPDX-License-Identifier: Apache-2.0
 *
 * Every version of every record that any device holds, once: what thousands of devices
 * in one process would each keep, they share. A device's copy is then a pointer of
 * eight bytes (replica.h), and who holds which content is plain to see.
 *
 * Beside each record stands what was acknowledged about it: the ledger, which the end
 * of a run is checked against (ledger.h).
 */
#ifndef OUTPOST_LOAD_POOL_H
#define OUTPOST_LOAD_POOL_H

#include "outpost/record.h"

#include <uthash.h>

/* What the server has said yes to, of one record. */
struct ledger_entry {
    uint64_t version;  /* the greatest that an answer stood for; 0: none */
    uint64_t stamp;    /* of that version */
    uint32_t accepted; /* edits that certainly took one version each */
    uint32_t unsure;   /* edits that may have: sent, and the answer lost at least once */
    uint32_t region;   /* where the family was registered */
    bool ours;         /* made by this process */
};

struct pool_entity {
    struct record_key key;
    struct pool_version *versions; /* newest-made first; few */
    struct ledger_entry ledger;
    UT_hash_handle hh;
};

struct pool_version {
    struct pool_entity *entity;
    struct pool_version *next;
    uint64_t number;
    uint64_t stamp;
    uint64_t share;     /* of the digest */
    int64_t written_us; /* when its author meant to write it; -1: before the run */
    uint32_t author;    /* the device */
    uint32_t awaited;   /* followers that do not have it yet */
    uint32_t holders;
    uint32_t len;
    bool deleted;
    uint8_t body[];
};

struct pool {
    struct record_hasher *hasher;
    struct pool_entity *entities;
    uint64_t version_count;
    uint64_t bytes; /* of all versions and entities */
};

bool pool_init(struct pool *pool);
void pool_deinit(struct pool *pool);

/* Finds or makes. No memory ends the process: the harness is of no use without. */
struct pool_entity *pool_entity(struct pool *pool, const struct record_key *key);
/* NULL: there is none. */
struct pool_entity *pool_find(const struct pool *pool, const struct record_key *key);

/* The version with that number and content, held once more; the body must be canonical. */
struct pool_version *pool_hold(struct pool *pool, struct pool_entity *entity, uint64_t number,
                               bool deleted, struct rpc_bytes body);
void pool_release(struct pool *pool, struct pool_version *version);

static inline struct rpc_bytes pool_body(const struct pool_version *version)
{
    return rpc_bytes_view(version->body, version->len);
}

#endif
