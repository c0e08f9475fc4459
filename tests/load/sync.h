/* SPDX-License-Identifier: Apache-2.0
 *
 * The messages of one Sync call, as a device sends and takes them (sync.proto).
 */
#ifndef OUTPOST_LOAD_SYNC_H
#define OUTPOST_LOAD_SYNC_H

#include "device.h"

/* Starts the call and sends Hello, the pushes and PushDone as far as the window allows.
 * False: the connection takes no call. */
bool sync_start(struct device *device);

#endif
