/* SPDX-License-Identifier: Apache-2.0
 *
 * A store that is spread over machines by region, as far as its readers see: what one
 * commit writes in several regions becomes visible region by region. Each half is whole,
 * and a region's halves keep their order; but the commit is answered, and one region
 * shows it, while another does not yet, so that a family which moves is in both or in
 * neither. It stands over the embedded store in steps, and a late region is read from a
 * snapshot that was taken before the commit.
 *
 * Writers are told nothing old: a push that needs a late region's counter waits for its
 * half, or gives up, as a lock's time does; so does who asks for a place that a late
 * region does not show (store.h).
 */
#ifndef OUTPOST_TESTS_SIM_SPLIT_STORE_H
#define OUTPOST_TESTS_SIM_SPLIT_STORE_H

#include "store.h"

enum { SPLIT_REGIONS_MAX = 8 };

struct split_options {
    struct record_uuid regions[SPLIT_REGIONS_MAX]; /* each is in a place of its own */
    size_t region_count;
    /* Which halves are late, and how long, is drawn. */
    uint64_t (*below)(void *context, uint64_t limit);
    void *context;
};

/* What has become of the commits so far. */
struct split_counts {
    unsigned late;   /* halves that were visible later than their commit's others */
    unsigned waited; /* of those, for which somebody had to wait */
    unsigned busy;   /* pushes that did not wait so long */
};

struct rpc_status split_store_open(const char *file, const struct store_options *options,
                                   const struct store_steps *steps,
                                   const struct split_options *split, struct store **store_out);

/* From now on commits are whole, and what is late is seen. */
void split_store_mend(struct store *store);

/* Whether the region is late; head_out: the newest entry that its readers see. */
bool split_store_is_late(const struct store *store, const struct record_uuid *region_id,
                         uint64_t *head_out);

struct split_counts split_store_counts(const struct store *store);

#endif
