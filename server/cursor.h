/* SPDX-License-Identifier: Apache-2.0
 *
 * Cursors: opaque to the device, a place per region to the server (R3).
 *
 * A cursor that a device returns is believed as far as it goes: its places are
 * looked up in the log by number and hash, and its regions are read only if
 * they are in scope. So a forged one harms nobody but the forger.
 */
#ifndef OUTPOST_SERVER_CURSOR_H
#define OUTPOST_SERVER_CURSOR_H

#include "store.h"

struct cursor_region {
    struct record_uuid region_id;
    struct store_place at;   /* all up to here is applied */
    struct store_place seen; /* the newest head that the device was shown */
    /* An unfinished snapshot (R21): */
    bool in_snapshot;
    struct store_place high_water; /* the tail starts here */
    struct record_uuid facility;   /* whose families were sent first; zeros: nobody's */
    bool in_rest;                  /* they have been */
    struct record_key position;    /* the last key sent; zeros: none yet */
    uint64_t sent;                 /* records sent so far */
    /* Types that were withheld when the device came here, and those of them that are not
     * any more and are sent whole, up to position (rollout.h). */
    size_t without_count, fill_count;
    uint32_t without[ROLLOUT_TYPES_MAX], fill[ROLLOUT_TYPES_MAX];
    /* Not in scope any more, but its records may still be on the device: for the
     * proof that the server's history has not lost them (R22). */
    bool leaving;
};

struct cursor {
    size_t region_count;
    struct cursor_region regions[STORE_REGIONS_PER_DEVICE_MAX];
};

enum { CURSOR_BYTES_MAX = 4096 };

/* False: not what cursor_encode wrote. Empty bytes give an empty cursor. */
bool cursor_parse(struct rpc_bytes bytes, struct cursor *cursor_out);
void cursor_encode(const struct cursor *cursor, struct rpc_buffer *buffer);

/* NULL: the cursor has no place there. */
struct cursor_region *cursor_find(struct cursor *cursor, const struct record_uuid *region_id);

#endif
