/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc.health.v1.Health: what load balancers and probes ask. It says what it was
 * told with grpc_health_set; nobody needs to show a certificate to hear it.
 *
 * Threads: the loop's.
 */
#ifndef OUTPOST_GRPC_HEALTH_H
#define OUTPOST_GRPC_HEALTH_H

#include "outpost/rpc.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct grpc_health grpc_health;

enum {
    GRPC_HEALTH_METHODS = 2,
    /* Services with a status of their own, "" included. */
    GRPC_HEALTH_SERVICES_MAX = 16,
    /* Watch calls at once, over all connections: they are open to anybody, and
     * each holds memory until its client goes. */
    GRPC_HEALTH_WATCHERS_MAX = 1000,
};

/* Nothing serves yet, and only the server as a whole ("") is known. NULL: no memory. */
grpc_health *grpc_health_new(void);
/* After the last connection. */
void grpc_health_free(grpc_health *health);

/* For rpc_server_options; returns GRPC_HEALTH_METHODS. */
size_t grpc_health_methods(grpc_health *health, struct rpc_method *methods_out);

/* The service's name must live as long as health. From the first call on it is known. */
void grpc_health_set(grpc_health *health, const char *service, bool serving);

/* Nothing serves any more; watchers are told and their calls are ended, so that
 * they do not hold up a server that drains. */
void grpc_health_shut_down(grpc_health *health);

#ifdef __cplusplus
}
#endif

#endif
