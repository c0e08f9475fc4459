/* SPDX-License-Identifier: Apache-2.0 */
#include "replica.h"

#include <stdlib.h>

enum {
    CAPACITY_MIN = 16,
    /* Slots that replica_pick looks at: bounds what one arrival costs. */
    REPLICA_PROBES = 256,
};

#define UNCONFIRMED ((uintptr_t)1)
#define ANSWERED ((uintptr_t)2)

/* ---- The table: open addressing, linear probing, holes closed at once ------------------- */

static struct pool_version *version_in(uintptr_t slot)
{
    return (struct pool_version *)(slot & ~(UNCONFIRMED | ANSWERED));
}

/* Entities are made by malloc: their addresses are as good as an id's bits, once mixed. */
static size_t home_of(const struct replica *replica, const struct pool_entity *entity)
{
    uint64_t x = (uint64_t)(uintptr_t)entity * UINT64_C(0x9e3779b97f4a7c15);

    return (size_t)(x >> 20) & (replica->capacity - 1);
}

/* Where the entity is, or would go. */
static size_t slot_of(const struct replica *replica, const struct pool_entity *entity)
{
    size_t at = home_of(replica, entity);

    while (replica->slots[at] != 0 && version_in(replica->slots[at])->entity != entity)
        at = (at + 1) & (replica->capacity - 1);
    return at;
}

/* At most 7/8 full. */
static void make_room(struct replica *replica)
{
    uintptr_t *old = replica->slots;
    size_t old_capacity = replica->capacity;

    if ((replica->count + 1) * 8 <= old_capacity * 7)
        return;
    replica->capacity = old_capacity > 0 ? old_capacity * 2 : CAPACITY_MIN;
    replica->slots = calloc(replica->capacity, sizeof *replica->slots);
    if (replica->slots == NULL)
        abort();
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i] != 0)
            replica->slots[slot_of(replica, version_in(old[i])->entity)] = old[i];
    free(old);
}

static void count(struct replica *replica, const struct pool_version *version, int sign)
{
    struct replica_sum *sum = &replica->sums[replica_class_of(&version->entity->key.family)];

    sum->records += (uint64_t)sign;
    sum->digest += sign > 0 ? version->share : UINT64_C(0) - version->share;
}

static void remove_at(struct replica *replica, struct pool *pool, size_t hole)
{
    struct pool_version *version = version_in(replica->slots[hole]);
    size_t mask = replica->capacity - 1;

    count(replica, version, -1);
    replica->count--;
    for (size_t at = (hole + 1) & mask; replica->slots[at] != 0; at = (at + 1) & mask) {
        size_t home = home_of(replica, version_in(replica->slots[at])->entity);
        /* It may move into the hole unless its home lies behind it. */
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            replica->slots[hole] = replica->slots[at];
            hole = at;
        }
    }
    replica->slots[hole] = 0;
    pool_release(pool, version);
}

/* ---- Records ------------------------------------------------------------------------------ */

void replica_clear(struct replica *replica, struct pool *pool)
{
    for (size_t i = 0; i < replica->capacity; i++)
        if (replica->slots[i] != 0)
            pool_release(pool, version_in(replica->slots[i]));
    free(replica->slots);
    *replica = (struct replica){0};
}

struct pool_version *replica_find(const struct replica *replica, const struct pool_entity *entity)
{
    return replica->capacity > 0 ? version_in(replica->slots[slot_of(replica, entity)]) : NULL;
}

bool replica_put(struct replica *replica, struct pool *pool, struct pool_version *version)
{
    if (version->deleted) {
        replica_drop(replica, pool, version->entity);
        pool_release(pool, version);
        return false;
    }
    make_room(replica);
    size_t at = slot_of(replica, version->entity);
    struct pool_version *held = version_in(replica->slots[at]);
    replica->slots[at] = (uintptr_t)version;
    if (held == version) {
        pool_release(pool, version); /* held once, not twice */
        return false;
    }
    if (held != NULL) {
        count(replica, held, -1);
        pool_release(pool, held);
    } else {
        replica->count++;
    }
    count(replica, version, 1);
    return true;
}

void replica_drop(struct replica *replica, struct pool *pool, const struct pool_entity *entity)
{
    if (replica_find(replica, entity) != NULL)
        remove_at(replica, pool, slot_of(replica, entity));
}

/* Removing fills the slot from behind, so it is looked at again; what wraps around to the
 * end has been looked at before. */
static void drop_where(struct replica *replica, struct pool *pool,
                       bool (*goes)(const void *context, uintptr_t slot), const void *context)
{
    for (size_t i = 0; i < replica->capacity;)
        if (replica->slots[i] != 0 && goes(context, replica->slots[i]))
            remove_at(replica, pool, i);
        else
            i++;
}

static bool is_of_family(const void *family, uintptr_t slot)
{
    return record_uuid_compare(&version_in(slot)->entity->key.family, family) == 0;
}

void replica_drop_family(struct replica *replica, struct pool *pool,
                         const struct record_uuid *family)
{
    drop_where(replica, pool, is_of_family, family);
}

/* ---- Snapshots ------------------------------------------------------------------------------ */

static bool is_of_class(uintptr_t slot, enum replica_class class)
{
    return replica_class_of(&version_in(slot)->entity->key.family) == class;
}

void replica_begin_snapshot(struct replica *replica, enum replica_class class)
{
    for (size_t i = 0; i < replica->capacity; i++)
        if (replica->slots[i] != 0 && is_of_class(replica->slots[i], class) &&
            (replica->slots[i] & ANSWERED) == 0)
            replica->slots[i] |= UNCONFIRMED;
}

static bool is_unconfirmed(const void *class, uintptr_t slot)
{
    return (slot & UNCONFIRMED) != 0 && is_of_class(slot, *(const enum replica_class *)class);
}

void replica_end_snapshot(struct replica *replica, struct pool *pool, enum replica_class class)
{
    drop_where(replica, pool, is_unconfirmed, &class);
}

void replica_note_answered(struct replica *replica, const struct pool_entity *entity)
{
    if (replica_find(replica, entity) != NULL)
        replica->slots[slot_of(replica, entity)] |= ANSWERED;
}

void replica_forget_answered(struct replica *replica)
{
    for (size_t i = 0; i < replica->capacity; i++)
        replica->slots[i] &= ~ANSWERED;
}

/* ---- Looking around -------------------------------------------------------------------------- */

struct pool_version *replica_pick(const struct replica *replica, struct draw *draw, uint32_t type,
                                  bool (*wanted)(void *context, const struct pool_version *version),
                                  void *context)
{
    if (replica->count == 0)
        return NULL;
    size_t at = (size_t)draw_below(draw, replica->capacity);
    for (int i = 0; i < REPLICA_PROBES; i++, at = (at + 1) & (replica->capacity - 1)) {
        struct pool_version *version = version_in(replica->slots[at]);
        if (version != NULL && version->entity->key.type == type && wanted(context, version))
            return version;
    }
    return NULL;
}

void replica_each(const struct replica *replica,
                  void (*each)(void *context, const struct pool_version *version), void *context)
{
    for (size_t i = 0; i < replica->capacity; i++)
        if (replica->slots[i] != 0)
            each(context, version_in(replica->slots[i]));
}
