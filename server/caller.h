/* SPDX-License-Identifier: Apache-2.0
 *
 * Which device calls, as its client certificate names it (I7). Whether that device may
 * go on is its row in the store, never the certificate alone.
 */
#ifndef OUTPOST_SERVER_CALLER_H
#define OUTPOST_SERVER_CALLER_H

#include "outpost/record.h"
#include "outpost/rpc.h"

/* UNAUTHENTICATED: no certificate of this server's CA that names a device. what is the
 * call, for the message. */
struct rpc_status caller_device(const rpc_call *call, const char *what,
                                struct record_uuid *device_id_out);

#endif
