/* SPDX-License-Identifier: Apache-2.0 */
#include "sync.h"

#include "caller.h"

#include <stdlib.h>

struct sync_call {
    struct sync_service *service;
    rpc_call *call;
    struct stream *stream;
    bool ended; /* finished here; what the stream still says is dropped */
    struct sync_call *next, **place;
};

/* ---- The stream's other end ----------------------------------------------- */

static void peer_finish(void *context, struct rpc_status status)
{
    struct sync_call *self = context;

    if (self->ended)
        return;
    self->ended = true;
    rpc_call_finish(self->call, status);
}

static void peer_send(void *context, struct rpc_bytes message)
{
    struct sync_call *self = context;
    const struct sync_version *version = self->service->version;
    struct rpc_buffer wrapped;

    if (version == NULL) {
        rpc_call_send(self->call, message);
        return;
    }
    rpc_buffer_init(&wrapped, RPC_MESSAGE_BYTES_MAX);
    if (!self->ended && version->give(message, &wrapped) && !wrapped.failed)
        rpc_call_send(self->call, rpc_buffer_view(&wrapped));
    else
        peer_finish(context,
                    rpc_status_make(RPC_UNAVAILABLE, "the server is out of memory; try later"));
    rpc_buffer_deinit(&wrapped);
}

static bool peer_writable(void *context)
{
    return rpc_call_writable(((struct sync_call *)context)->call);
}

static void peer_pause_reading(void *context)
{
    rpc_call_pause_reading(((struct sync_call *)context)->call);
}

static void peer_resume_reading(void *context)
{
    rpc_call_resume_reading(((struct sync_call *)context)->call);
}

static void peer_set_compression(void *context, enum settings_compression compression)
{
    static const enum rpc_encoding encodings[] = {
        [SETTINGS_COMPRESSION_BEST] = RPC_ENCODING_ZSTD,
        [SETTINGS_COMPRESSION_OFF] = RPC_ENCODING_IDENTITY,
        [SETTINGS_COMPRESSION_GZIP] = RPC_ENCODING_GZIP,
        [SETTINGS_COMPRESSION_ZSTD] = RPC_ENCODING_ZSTD,
    };

    rpc_call_set_encoding(((struct sync_call *)context)->call, encodings[compression]);
}

static void peer_add_trailer(void *context, const char *name, const char *value)
{
    rpc_call_add_trailer(((struct sync_call *)context)->call, name,
                         rpc_bytes_view(value, strlen(value)));
}

/* ---- Calls ---------------------------------------------------------------- */

static struct sync_call *call_new(struct sync_service *service, rpc_call *call,
                                  const struct record_uuid *device_id)
{
    struct sync_call *self = calloc(1, sizeof *self);
    struct stream_peer peer = {
        .send = peer_send,
        .writable = peer_writable,
        .pause_reading = peer_pause_reading,
        .resume_reading = peer_resume_reading,
        .finish = peer_finish,
        .add_trailer = peer_add_trailer,
        .set_compression = peer_set_compression,
        .context = self,
    };

    if (self == NULL)
        return NULL;
    self->service = service;
    self->call = call;
    self->stream = stream_new(service->streams, &peer, device_id);
    if (self->stream == NULL) {
        free(self);
        return NULL;
    }
    self->place = &service->calls;
    self->next = service->calls;
    if (self->next != NULL)
        self->next->place = &self->next;
    service->calls = self;
    return self;
}

static void on_open(void *context, rpc_call *call, void **context_out)
{
    struct record_uuid device_id;
    struct rpc_status status = caller_device(call, "Sync", &device_id);
    struct sync_call *self = NULL;

    if (rpc_ok(&status)) {
        self = call_new(context, call, &device_id);
        if (self == NULL)
            status = rpc_status_make(RPC_UNAVAILABLE, "the server is out of memory; try later");
    }
    *context_out = self;
    if (self == NULL)
        rpc_call_finish(call, status);
}

static void on_request_bytes(void *context, rpc_call *call, struct rpc_bytes request)
{
    struct sync_call *self = context;
    struct rpc_buffer unwrapped;

    (void)call;
    if (self == NULL)
        return;
    if (self->service->version == NULL) {
        stream_on_message(self->stream, request);
        return;
    }
    rpc_buffer_init(&unwrapped, RPC_MESSAGE_BYTES_MAX);
    /* What is none of this version is no message of outpost.v1 either. */
    if (!self->service->version->take(request, &unwrapped))
        rpc_buffer_clear(&unwrapped);
    stream_on_message(self->stream, rpc_buffer_view(&unwrapped));
    rpc_buffer_deinit(&unwrapped);
}

static void on_half_close(void *context, rpc_call *call)
{
    struct sync_call *self = context;

    (void)call;
    if (self != NULL)
        stream_on_half_close(self->stream);
}

static void on_writable(void *context, rpc_call *call)
{
    struct sync_call *self = context;

    (void)call;
    if (self != NULL)
        stream_on_writable(self->stream);
}

static void on_close(void *context, rpc_call *call, const struct rpc_status *status,
                     struct rpc_metadata_list trailers)
{
    struct sync_call *self = context;

    (void)call;
    (void)status;
    (void)trailers;
    if (self == NULL)
        return;
    stream_on_close(self->stream);
    *self->place = self->next;
    if (self->next != NULL)
        self->next->place = self->place;
    free(self);
}

void sync_handlers(struct sync_service *service,
                   struct outpost_v1_sync_service_handlers *handlers_out)
{
    *handlers_out = (struct outpost_v1_sync_service_handlers){
        .service = service,
        .sync =
            {
                .on_open = on_open,
                .on_request_bytes = on_request_bytes,
                .on_half_close = on_half_close,
                .on_writable = on_writable,
                .on_close = on_close,
            },
    };
}

static void open_version(void *service, rpc_call *call, struct rpc_call_events *events_out,
                         void **context_out)
{
    *events_out = (struct rpc_call_events){
        .on_message = on_request_bytes,
        .on_half_close = on_half_close,
        .on_writable = on_writable,
        .on_close = on_close,
    };
    on_open(service, call, context_out);
}

struct rpc_method sync_version_method(struct sync_service *service)
{
    return (struct rpc_method){
        .path = service->version->path, .on_open = open_version, .service = service};
}

/* ---- Followers ------------------------------------------------------------ */

static void wake_followers(struct sync_service *service, const struct store_head *head)
{
    struct sync_call *next;

    for (struct sync_call *call = service->calls; call != NULL; call = next) {
        next = call->next;
        stream_wake(call->stream, &head->region_id, head->last.seq);
    }
}

static void heads_done(struct store_request *request)
{
    struct sync_service *service = request->owner;

    service->asking = false;
    if (rpc_ok(&request->status))
        for (size_t i = 0; i < service->heads.head_count; i++)
            wake_followers(service, &service->heads.heads[i]);
    store_heads_deinit(&service->heads);
    free(service->watched);
    service->watched = NULL;
}

static int compare_ids(const void *a, const void *b)
{
    return record_uuid_compare(a, b);
}

/* The regions of all followers, each once. */
static size_t watched_regions(const struct sync_service *service, struct record_uuid **regions_out)
{
    size_t count = 0, kept = 0;

    for (const struct sync_call *call = service->calls; call != NULL; call = call->next)
        count += 2;
    struct record_uuid *regions = calloc(count + 1, sizeof *regions);
    if (regions == NULL)
        return 0;
    count = 0;
    for (const struct sync_call *call = service->calls; call != NULL; call = call->next)
        if (stream_is_following(call->stream, &regions[count]))
            count += 2;
    qsort(regions, count, sizeof *regions, compare_ids);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || record_uuid_compare(&regions[kept - 1], &regions[i]) != 0)
            regions[kept++] = regions[i];
    *regions_out = regions;
    return kept;
}

void sync_poll_followers(struct sync_service *service)
{
    if (service->asking || service->calls == NULL)
        return;
    size_t count = watched_regions(service, &service->watched);
    if (count == 0) {
        free(service->watched);
        service->watched = NULL;
        return;
    }
    service->asking = true;
    service->heads = (struct store_heads){
        .request = {.kind = STORE_HEADS, .done = heads_done, .owner = service},
        .region_count = count,
        .regions = service->watched,
    };
    store_submit(service->streams->store, &service->heads.request);
}

/* ---- Refused devices -------------------------------------------------------- */

static void refuse_device(struct sync_service *service, const struct store_caller *caller,
                          const struct store_refusal *refusal)
{
    struct sync_call *next;

    for (struct sync_call *call = service->calls; call != NULL; call = next) {
        struct store_caller now = stream_caller(call->stream);
        next = call->next;
        if (memcmp(&now, caller, sizeof now) == 0)
            stream_refuse(call->stream, refusal);
    }
}

static void see_rollouts(struct sync_service *service, uint64_t version)
{
    struct sync_call *next;

    for (struct sync_call *call = service->calls; call != NULL; call = next) {
        next = call->next;
        stream_see_rollouts(call->stream, version);
    }
}

static void refused_done(struct store_request *request)
{
    struct sync_service *service = request->owner;

    service->asking_refused = false;
    if (rpc_ok(&request->status)) {
        for (size_t i = 0; i < service->refused.caller_count; i++)
            if (service->refusals[i].why != STANDING_ADMITTED)
                refuse_device(service, &service->callers[i], &service->refusals[i]);
        see_rollouts(service, service->refused.rollouts_version);
    }
    free(service->callers);
    free(service->refusals);
}

void sync_poll_refused(struct sync_service *service)
{
    size_t count = 0;

    if (service->asking_refused || service->calls == NULL)
        return;
    for (const struct sync_call *call = service->calls; call != NULL; call = call->next)
        count++;
    service->callers = calloc(count, sizeof *service->callers);
    service->refusals = calloc(count, sizeof *service->refusals);
    if (service->callers == NULL || service->refusals == NULL) {
        free(service->callers);
        free(service->refusals);
        return;
    }
    count = 0;
    for (const struct sync_call *call = service->calls; call != NULL; call = call->next)
        service->callers[count++] = stream_caller(call->stream);
    service->asking_refused = true;
    service->refused = (struct store_refused){
        .request = {.kind = STORE_REFUSED, .done = refused_done, .owner = service},
        .caller_count = count,
        .callers = service->callers,
        .refusals = service->refusals,
    };
    store_submit(service->streams->store, &service->refused.request);
}
