/* SPDX-License-Identifier: Apache-2.0
 *
 * Says by grpc.health.v1 whether the server is worth calling: SERVING as long as
 * the store answers.
 */
#ifndef OUTPOST_SERVER_HEALTH_H
#define OUTPOST_SERVER_HEALTH_H

#include "outpost/grpc_health.h"
#include "store.h"

enum {
    /* From one question to the next. */
    HEALTH_ASK_MS = 1000,
    /* A store that has not answered by then is away. */
    HEALTH_ANSWER_MS = 5000,
};

struct health_service {
    struct store *store;
    grpc_health *health;
    struct store_heads heads; /* the question: one region's head */
    struct record_uuid region;
    bool asking;
    int64_t asked_ms;
};

/* store and health live longer. Serving at first: the store was just opened. */
void health_init(struct health_service *service, struct store *store, grpc_health *health);

/* To be called more often than HEALTH_ASK_MS; the clock never goes back. */
void health_poll(struct health_service *service, int64_t now_ms);

#endif
