/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine's side of a push, its first half: takes the locks and fills a
 * push_set with what is stored.
 *
 * R10: the counters of the regions concerned are locked first, ascending, and only
 * then anything is read that a decision stands on. Which regions those are is itself
 * something to read: a transaction begins with a guess (where the authors enrolled and
 * work), reads the families' membership under its locks, and starts over with more
 * locks when that names a region which it has not locked. The global region is locked
 * only for those who write in it.
 */
#include "store_postgres_lookups.h"

/* Every region that the set names must be locked, but for the global one, of which
 * those who do not write in it want the head alone; and those where a family is must
 * be before anything of it is read. */
static enum postgres_code check_locks(struct push_set *set, struct postgres_locks *locks)
{
    size_t before = locks->count;
    bool room = true;

    for (const struct push_region *r = set->regions; r != NULL; r = r->hh.next)
        room = room && (record_uuid_is_zero(&r->id) || postgres_locks_add(locks, &r->id));
    for (const struct push_family *f = set->families; f != NULL; f = f->hh.next)
        for (size_t i = 0; i < f->regions.count; i++)
            room = room && postgres_locks_add(locks, &f->regions.ids[i]);
    if (!room)
        return POSTGRES_AGAIN;
    return locks->count > before ? POSTGRES_ABSENT : POSTGRES_OK;
}

static enum postgres_code needs_more(struct push_set *set, struct push_batch *const *batches,
                                     size_t count, bool *added_out)
{
    bool added;

    *added_out = false;
    for (size_t i = 0; i < count; i++) {
        if (!push_needs_more(set, batches[i], &added))
            return POSTGRES_NO_MEMORY;
        *added_out = *added_out || added;
    }
    return POSTGRES_OK;
}

/* R10: what follows from what was loaded, until nothing more does. */
static enum postgres_code load_rest(struct postgres_lookups *lookups,
                                    struct push_batch *const *batches, size_t count,
                                    struct postgres_locks *locks)
{
    bool added = true;
    enum postgres_code code = POSTGRES_OK;

    while (added && code == POSTGRES_OK) {
        postgres_look_up_then(lookups, locks);
        code = postgres_lookups_run(lookups);
        if (code == POSTGRES_OK)
            code = needs_more(lookups->set, batches, count, &added);
        if (code == POSTGRES_OK && added) {
            postgres_look_up_first(lookups, locks);
            code = postgres_lookups_run(lookups);
        }
        if (code == POSTGRES_OK)
            code = check_locks(lookups->set, locks);
    }
    return code;
}

enum postgres_code postgres_push_begin(struct postgres_conn *conn, struct push_set *set,
                                       struct push_batch *const *batches, size_t count,
                                       struct postgres_locks *locks, struct store_refusal *refusals)
{
    struct postgres_lookups lookups = {.conn = conn, .set = set};
    struct postgres_lock_queries queries;
    struct store_caller callers[POSTGRES_GROUP_MAX];
    struct postgres_refusals refused = {0};

    for (size_t i = 0; i < count; i++)
        if (!push_needs(set, batches[i]))
            return POSTGRES_NO_MEMORY;
    postgres_locks_send(conn, locks, &queries);
    for (size_t i = 0; i < count; i++)
        callers[i] = (struct store_caller){batches[i]->device.device_id, batches[i]->device.region};
    if (refusals != NULL) /* R18 holds to the last push */
        refused = postgres_send_refusals(conn, callers, count);
    postgres_look_up_first(&lookups, locks);
    enum postgres_code code = postgres_exchange(conn);
    if (code == POSTGRES_OK && refusals != NULL)
        postgres_take_refusals(conn, refused, callers, count, refusals);
    if (code == POSTGRES_OK)
        code = postgres_locks_take(conn, set, locks, &queries);
    if (code == POSTGRES_OK)
        code = postgres_lookups_take(&lookups);
    if (code == POSTGRES_OK) /* the last: it drops the results */
        code = postgres_locks_make(conn, locks, &queries);
    if (code == POSTGRES_OK)
        code = check_locks(set, locks);
    return code == POSTGRES_OK ? load_rest(&lookups, batches, count, locks) : code;
}

enum postgres_code postgres_push_more(struct postgres_conn *conn, struct push_set *set,
                                      struct push_batch *batch, struct postgres_locks *locks)
{
    struct postgres_lookups lookups = {.conn = conn, .set = set};
    bool added;
    enum postgres_code code = needs_more(set, &batch, 1, &added);

    if (code != POSTGRES_OK || !added)
        return code;
    postgres_look_up_first(&lookups, locks);
    code = postgres_lookups_run(&lookups);
    if (code == POSTGRES_OK)
        code = check_locks(set, locks);
    return code == POSTGRES_OK ? load_rest(&lookups, &batch, 1, locks) : code;
}
