/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of outpostd device that change a device's standing (standing.h).
 */
#ifndef OUTPOST_SERVER_DEVICE_STANDING_H
#define OUTPOST_SERVER_DEVICE_STANDING_H

#include "command.h"

struct rpc_status device_revoke(struct command *command);
struct rpc_status device_allow(struct command *command);
struct rpc_status device_disallow(struct command *command);
struct rpc_status device_wipe(struct command *command);

#endif
