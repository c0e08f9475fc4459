/* SPDX-License-Identifier: Apache-2.0
 *
 * The question is the cheapest that goes all the way to the tables and back: the
 * head of the global region. There is one at a time; while it is late the server
 * does not serve, and it serves again when the answer comes after all.
 */
#include "health.h"

static void tell(struct health_service *service, bool serving)
{
    grpc_health_set(service->health, "", serving);
    grpc_health_set(service->health, "outpost.v1.SyncService", serving);
    grpc_health_set(service->health, "outpost.v1.EnrolmentService", serving);
}

static void answered(struct store_request *request)
{
    struct health_service *service = request->owner;

    store_heads_deinit(&service->heads);
    service->asking = false;
    tell(service, rpc_ok(&request->status));
}

void health_init(struct health_service *service, struct store *store, grpc_health *health)
{
    *service = (struct health_service){.store = store, .health = health, .asked_ms = INT64_MIN};
    tell(service, true);
}

void health_poll(struct health_service *service, int64_t now_ms)
{
    if (service->asking) {
        if (now_ms - service->asked_ms >= HEALTH_ANSWER_MS)
            tell(service, false);
        return;
    }
    if (service->asked_ms != INT64_MIN && now_ms - service->asked_ms < HEALTH_ASK_MS)
        return;
    service->asking = true;
    service->asked_ms = now_ms;
    service->heads = (struct store_heads){
        .request = {.kind = STORE_HEADS, .done = answered, .owner = service},
        .region_count = 1,
        .regions = &service->region,
    };
    store_submit(service->store, &service->heads.request);
}
