/* SPDX-License-Identifier: Apache-2.0
 *
 * For round.c: a sync came to its end while the load runs.
 */
#ifndef OUTPOST_LOAD_LOAD_H
#define OUTPOST_LOAD_LOAD_H

#include "run.h"

void load_on_synced(struct run *run, struct device *device);

#endif
