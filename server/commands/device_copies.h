/* SPDX-License-Identifier: Apache-2.0
 *
 * Devices that were certified as copies of a device's database (R23): whoever has a
 * stolen phone may have made one of them.
 */
#ifndef OUTPOST_SERVER_DEVICE_COPIES_H
#define OUTPOST_SERVER_DEVICE_COPIES_H

#include "command.h"

/* The copies, and copies of copies, that are not revoked: their ids, STORE_COPIES_MAX at
 * most. */
struct rpc_status device_copies_active(struct command *command, const struct record_uuid *device_id,
                                       struct record_uuid ids_out[STORE_COPIES_MAX],
                                       size_t *count_out);

#endif
