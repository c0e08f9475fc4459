/* SPDX-License-Identifier: Apache-2.0
 *
 * What one virtual device holds of the server's records: a hash table of pointers into
 * the pool, and per scope class the number and the digest of the living (R24), always
 * up to date. Ten to eighteen bytes a record.
 */
#ifndef OUTPOST_LOAD_REPLICA_H
#define OUTPOST_LOAD_REPLICA_H

#include "draw.h"
#include "pool.h"

enum replica_class {
    REPLICA_GLOBAL, /* facilities, regions */
    REPLICA_FAMILIES,
    REPLICA_CLASSES,
};

static inline enum replica_class replica_class_of(const struct record_uuid *family_or_region)
{
    return record_uuid_is_zero(family_or_region) ? REPLICA_GLOBAL : REPLICA_FAMILIES;
}

struct replica {
    uintptr_t *slots; /* a version, and two marks in the lowest bits */
    size_t capacity;  /* a power of two, or 0 */
    size_t count;
    struct replica_sum {
        uint64_t records, digest;
    } sums[REPLICA_CLASSES];
};

void replica_clear(struct replica *replica, struct pool *pool);

/* NULL: not held. */
struct pool_version *replica_find(const struct replica *replica, const struct pool_entity *entity);

/* Holds this version in place of any other, and takes over the caller's hold on it. A
 * deleted one only drops what is held. True: it is news. */
bool replica_put(struct replica *replica, struct pool *pool, struct pool_version *version);
void replica_drop(struct replica *replica, struct pool *pool, const struct pool_entity *entity);
void replica_drop_family(struct replica *replica, struct pool *pool,
                         const struct record_uuid *family);

/* R21: all of a class is unconfirmed, but for what was answered in this call; at the
 * snapshot's end what still is goes. */
void replica_begin_snapshot(struct replica *replica, enum replica_class class);
void replica_end_snapshot(struct replica *replica, struct pool *pool, enum replica_class class);

/* An answer of this call stood for the record; a new call begins. */
void replica_note_answered(struct replica *replica, const struct pool_entity *entity);
void replica_forget_answered(struct replica *replica);

/* A held record of that type for which wanted says yes, found from a random place on;
 * NULL: none among REPLICA_PROBES. */
struct pool_version *replica_pick(const struct replica *replica, struct draw *draw, uint32_t type,
                                  bool (*wanted)(void *context, const struct pool_version *version),
                                  void *context);

/* Calls each for every held record, in no order. */
void replica_each(const struct replica *replica,
                  void (*each)(void *context, const struct pool_version *version), void *context);

#endif
