/* SPDX-License-Identifier: Apache-2.0
 *
 * Effects: what an accepted mutation writes, into a push_set.
 *
 * Every region that holds the record gets its copy of the row, with a seq and a
 * log entry of its own, by one transaction (I3, R16). When a mutation of a root
 * changes the regions that its family is in, the family leaves some (marker,
 * rows gone, log kept) and enters others (marker, then every record, tombstones
 * too, with new seqs).
 *
 * False everywhere: no memory, or a store that contradicts itself; the
 * transaction must be rolled back.
 */
#ifndef OUTPOST_SERVER_EFFECTS_H
#define OUTPOST_SERVER_EFFECTS_H

#include "push_set.h"

/* A record's state before a change: what the regions' digests still count. */
struct effects_before {
    uint64_t version;
    bool deleted;
    uint64_t stamp;
};

/* Who did it, and with what. */
struct effects_cause {
    const struct push_item *item;
    const struct scope_device *device;
    int64_t now_ms;
};

/* The regions that a living or deleted root's body puts its family in; false:
 * a facility in it is not known, or none is named. field_out: which field. */
bool effects_regions_of_root(struct push_set *set, const struct record_body *body,
                             struct scope_regions *regions_out, uint32_t *field_out);

/* A root's body changes; before is NULL when there was none. Before effects_write. */
void effects_place(struct push_set *set, struct push_family *family,
                   const struct record_body *before, const struct record_body *after);

/* The record has its new state in the set; family is NULL for a global one.
 * after: the regions that its family is in from now on. */
bool effects_write(struct push_set *set, struct push_family *family, struct push_record *record,
                   const struct effects_before *before, const struct scope_regions *after,
                   const struct effects_cause *cause);

#endif
