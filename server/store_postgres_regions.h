/* SPDX-License-Identifier: Apache-2.0
 *
 * Pushes that wait for a writer, by region: a region is one writer's at a time, and its
 * pushes stay in order. The caller's mutex guards all of it.
 */
#ifndef OUTPOST_SERVER_STORE_POSTGRES_REGIONS_H
#define OUTPOST_SERVER_STORE_POSTGRES_REGIONS_H

#include "store_postgres.h"
#include "store_queue.h"

/* A region with pushes waiting or under way. */
struct postgres_region {
    struct record_uuid region_id;
    struct store_queue pushes;
    bool waits;                   /* for a writer; with no pushes left if they were refused */
    bool taken;                   /* by a writer */
    struct postgres_region *next; /* among those that wait for a writer */
    UT_hash_handle hh;
};

struct postgres_regions {
    struct postgres_region *all;
    struct postgres_region *waiting, **waiting_end;
};

void postgres_regions_init(struct postgres_regions *regions);

/* False: no memory. */
bool postgres_regions_put(struct postgres_regions *regions, struct store_push *push);

/* The region that has waited longest, for this writer alone until it is released; NULL:
 * none waits. */
struct postgres_region *postgres_regions_take(struct postgres_regions *regions);
void postgres_regions_release(struct postgres_regions *regions, struct postgres_region *region);

/* What waits for a taken region, as much as a transaction holds. */
void postgres_region_group(struct postgres_region *region, struct postgres_group *group_out);

/* All that waits for any, to be refused. */
void postgres_regions_empty(struct postgres_regions *regions, struct store_queue *refused);

#endif
