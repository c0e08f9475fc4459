/* SPDX-License-Identifier: Apache-2.0
 *
 * What a nurse does on a device: edits, sealed into its outbox.
 */
#ifndef OUTPOST_LOAD_WORK_H
#define OUTPOST_LOAD_WORK_H

#include "device.h"

/* Does the work of one arrival. meant_us: when, on fleet_now_us's clock; -1: outside of
 * the run, not measured. False: the device holds no record for it. */
bool work_do(struct device *device, enum work work, uint64_t seed, int64_t meant_us);

/* A patient with readings, of the data set that a run begins with. */
void work_make_family(struct device *device, struct draw *draw);

#endif
