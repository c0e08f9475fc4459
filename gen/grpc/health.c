/* SPDX-License-Identifier: Apache-2.0
 *
 * A watcher is told the present status at once and each later change. While its
 * client does not read it is told nothing, then the newest.
 */
#include "outpost/grpc_health.h"

#include "grpc/health/v1/health.rpc.h"

#include <assert.h>
#include <stdlib.h>

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;

#define SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

struct known {
    const char *name;
    serving_status status;
};

struct watcher {
    struct watcher *next;
    rpc_call *call;
    char *service;
    serving_status told;
};

struct grpc_health {
    struct grpc_health_v1_health_handlers handlers;
    struct known services[GRPC_HEALTH_SERVICES_MAX];
    size_t service_count;
    struct watcher *watchers;
    size_t watcher_count;
    bool shut_down;
};

static struct known *find_service(grpc_health *health, const char *name)
{
    for (size_t i = 0; i < health->service_count; i++)
        if (strcmp(health->services[i].name, name) == 0)
            return &health->services[i];
    return NULL;
}

static serving_status status_of(grpc_health *health, const char *name)
{
    const struct known *known = find_service(health, name);

    return known != NULL ? known->status : SERVICE_UNKNOWN;
}

/* ---- Check ------------------------------------------------------------------- */

static void on_check(void *service, rpc_call *call,
                     const Grpc__Health__V1__HealthCheckRequest *request)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    response.status = status_of(service, request->service);
    if (response.status == SERVICE_UNKNOWN)
        rpc_call_finish(call, rpc_status_make(RPC_NOT_FOUND, "the service is not known here"));
    else
        grpc_health_v1_health_check_reply(call, &response);
}

/* ---- Watch ------------------------------------------------------------------- */

static void tell(struct watcher *watcher, serving_status status)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    response.status = status;
    watcher->told = status;
    grpc_health_v1_health_watch_send(watcher->call, &response);
}

static void tell_change(grpc_health *health, struct watcher *watcher)
{
    serving_status status = status_of(health, watcher->service);

    if (status != watcher->told && rpc_call_writable(watcher->call))
        tell(watcher, status);
}

static struct watcher *watcher_new(const char *service)
{
    struct watcher *watcher = calloc(1, sizeof *watcher);
    size_t size = strlen(service) + 1;

    if (watcher == NULL)
        return NULL;
    watcher->service = malloc(size);
    if (watcher->service == NULL) {
        free(watcher);
        return NULL;
    }
    memcpy(watcher->service, service, size);
    return watcher;
}

static void on_watch(void *service, rpc_call *call,
                     const Grpc__Health__V1__HealthCheckRequest *request)
{
    grpc_health *health = service;
    struct watcher *watcher =
        health->watcher_count < GRPC_HEALTH_WATCHERS_MAX ? watcher_new(request->service) : NULL;

    if (watcher == NULL) {
        rpc_call_finish(call, rpc_status_make(RPC_RESOURCE_EXHAUSTED,
                                              "too many watch already: ask with Check"));
        return;
    }
    watcher->call = call;
    watcher->next = health->watchers;
    health->watchers = watcher;
    health->watcher_count++;
    tell(watcher, status_of(health, watcher->service));
    if (health->shut_down)
        rpc_call_finish(call, rpc_status_make(RPC_UNAVAILABLE, "the server is shutting down"));
}

static struct watcher **find_watcher(grpc_health *health, const rpc_call *call)
{
    struct watcher **at = &health->watchers;

    while (*at != NULL && (*at)->call != call)
        at = &(*at)->next;
    return at;
}

static void on_watch_writable(void *service, rpc_call *call)
{
    struct watcher *watcher = *find_watcher(service, call);

    if (watcher != NULL)
        tell_change(service, watcher);
}

static void on_watch_closed(void *service, rpc_call *call)
{
    grpc_health *health = service;
    struct watcher **place = find_watcher(health, call);
    struct watcher *watcher = *place;

    if (watcher == NULL)
        return;
    *place = watcher->next;
    health->watcher_count--;
    free(watcher->service);
    free(watcher);
}

/* ---- From outside -------------------------------------------------------------- */

grpc_health *grpc_health_new(void)
{
    grpc_health *health = calloc(1, sizeof *health);

    if (health == NULL)
        return NULL;
    health->handlers = (struct grpc_health_v1_health_handlers){
        .service = health,
        .check = on_check,
        .watch = on_watch,
        .watch_writable = on_watch_writable,
        .watch_closed = on_watch_closed,
    };
    grpc_health_set(health, "", false);
    return health;
}

void grpc_health_free(grpc_health *health)
{
    assert(health == NULL || health->watchers == NULL);
    free(health);
}

size_t grpc_health_methods(grpc_health *health, struct rpc_method *methods_out)
{
    return grpc_health_v1_health_methods(&health->handlers, methods_out);
}

void grpc_health_set(grpc_health *health, const char *service, bool serving)
{
    struct known *known = find_service(health, service);

    if (known == NULL) {
        assert(health->service_count < GRPC_HEALTH_SERVICES_MAX);
        known = &health->services[health->service_count++];
        known->name = service;
    }
    known->status = serving && !health->shut_down ? SERVING : NOT_SERVING;
    for (struct watcher *at = health->watchers; at != NULL; at = at->next)
        tell_change(health, at);
}

void grpc_health_shut_down(grpc_health *health)
{
    health->shut_down = true;
    for (size_t i = 0; i < health->service_count; i++)
        grpc_health_set(health, health->services[i].name, false);
    for (struct watcher *at = health->watchers; at != NULL; at = at->next)
        rpc_call_finish(at->call, rpc_status_make(RPC_UNAVAILABLE, "the server is shutting down"));
}
