/* SPDX-License-Identifier: Apache-2.0
 *
 * A virtual device: when it syncs, over which connection, and what it does when that
 * fails.
 *
 *     IDLE --begin--> SYNCING --CaughtUp--> ENDING --call over--> IDLE
 *      ^                 |  \--CaughtUp, follows--> FOLLOWING --a visit, or told to stop--> ENDING
 *      |                 +--call failed--> SLEEPING --back-off over--> SYNCING
 *      +-- FOLLOWING, ENDING --call failed--> SLEEPING
 *
 * A visit that comes while a sync is under way waits for the next one; all that wait then
 * ride together, as on a phone.
 */
#ifndef OUTPOST_LOAD_DEVICE_H
#define OUTPOST_LOAD_DEVICE_H

#include "fleet.h"

void device_init(struct device *device, struct fleet *fleet, uint32_t number);
/* The loop has closed its connection before, or will not run again. */
void device_deinit(struct device *device);

/* A visit: the device syncs, at once or when it can. */
void device_visit(struct device *device, int64_t meant_us, enum work work);
/* Syncs although nobody asked for it. */
void device_sync(struct device *device);
/* A follower ends its call, and stays without one. */
void device_stop_following(struct device *device);
/* Closes its connection, whatever is under way on it. */
void device_abandon(struct device *device);

/* Wakes those whose back-off is over; several times a second. */
void fleet_wake_sleepers(struct fleet *fleet);
/* Visits that are not done; memory of the devices themselves in bytes. */
uint64_t fleet_unfinished(const struct fleet *fleet);

/* ---- For sync.c ---- */

/* The server has told everything: visits are done. */
void device_caught_up(struct device *device);
/* The call is over. */
void device_call_over(struct device *device, const struct rpc_status *status);

#endif
