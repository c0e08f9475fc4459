/* SPDX-License-Identifier: Apache-2.0
 *
 * Serve: the running outpostd. One libuv loop, the store's threads beside it,
 * SIGTERM and SIGINT drain.
 */
#ifndef OUTPOST_SERVER_SERVE_H
#define OUTPOST_SERVER_SERVE_H

#include "config.h"

/* Serves until a signal; prints `listening on ADDR:PORT` when ready. listen may
 * be NULL (then the configuration's). */
struct rpc_status serve(const struct config *config, const char *listen);

#endif
