/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts the server together: store, services, listener, signals. Everything
 * runs in the loop's thread but the store's own threads, which wake the loop by
 * one uv_async.
 */
#include "serve.h"

#include "engine.h"
#include "enrol.h"
#include "enrolled.h"
#include "health.h"
#include "recertify.h"
#include "report_wiped.h"
#include "sync.h"

#include "outpost/grpc_reflection.h"
#include "outpost/rpc_uv.h"
#include "outpost/v1/schema.gen.h"

#include <assert.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    /* What open calls get to end in when the server is told to stop. */
    DRAIN_GRACE_MS = 10000,
    /* How long a rollout goes on growing whose cohort's syncs fail. */
    ROLLOUT_REVIEW_MS = 30000,
    FILE_BYTES_MAX = 1024 * 1024,
    /* A device that follows asks twice a minute whether its link lives. */
    PING_INTERVAL_MIN_MS = 10000,
    METHODS = OUTPOST_V1_SYNC_SERVICE_METHODS + OUTPOST_V1_ENROLMENT_SERVICE_METHODS +
              GRPC_HEALTH_METHODS + GRPC_REFLECTION_METHODS + SYNC_VERSIONS_MAX,
};

/* What proto/ was when this program was built. */
extern const struct rpc_bytes outpost_descriptors;

struct server {
    const struct config *config;
    uv_loop_t loop;
    uv_async_t store_ready;
    uv_timer_t follow_timer;
    uv_signal_t terminate, interrupt, hang_up;
    bool draining;
    struct stream_service streams;
    struct sync_service sync;
    struct sync_service versions[SYNC_VERSIONS_MAX]; /* beside it, sync_version_count of them */
    struct store_rollout_review review;
    bool reviewing;
    int64_t reviewed_at_ms; /* monotonic */
    struct enrol_service enrol;
    struct health_service health_service;
    grpc_health *health;
    grpc_reflection *reflection;
    struct outpost_v1_sync_service_handlers sync_handlers;
    struct outpost_v1_enrolment_service_handlers enrol_handlers;
    struct rpc_method methods[METHODS];
    rpc_tls *tls;
    rpc_uv_listener *listener;
};

/* ---- What comes in from outside ------------------------------------------- */

static int64_t wall_time_ms(void *context)
{
    struct timespec now;

    (void)context;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t monotonic_ms(void *context)
{
    struct timespec now;

    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void random_bytes(void *context, uint8_t *bytes, size_t len)
{
    (void)context;
    if (RAND_bytes(bytes, (int)len) != 1)
        abort(); /* ids and tokens without randomness would be silent corruption */
}

static bool sign(void *context, const struct wipe_signed *order,
                 struct wipe_signature *signature_out)
{
    return ca_sign_wipe(((struct server *)context)->enrol.ca, order, signature_out);
}

/* ---- Loop ----------------------------------------------------------------- */

static void notify_loop(void *context)
{
    uv_async_send(&((struct server *)context)->store_ready);
}

static void on_store_ready(uv_async_t *handle)
{
    struct server *server = handle->data;

    store_drain(server->streams.store);
}

static void review_done(struct store_request *request)
{
    struct server *server = request->owner;

    server->reviewing = false;
    if (rpc_ok(&request->status) && server->review.halted_count > 0)
        fprintf(stderr,
                "outpostd: %zu rollouts are halted: too many syncs of their devices failed or were"
                " refused; see outpostd rollout status\n",
                server->review.halted_count);
}

static void review_rollouts(struct server *server, int64_t now_ms)
{
    if (server->reviewing || now_ms - server->reviewed_at_ms < ROLLOUT_REVIEW_MS)
        return;
    server->reviewing = true;
    server->reviewed_at_ms = now_ms;
    server->review = (struct store_rollout_review){
        .request = {.kind = STORE_ROLLOUT_REVIEW, .done = review_done, .owner = server},
        .now_ms = server->streams.time_ms(server->streams.context),
    };
    store_submit(server->streams.store, &server->review.request);
}

static void on_follow_timer(uv_timer_t *handle)
{
    struct server *server = handle->data;

    sync_poll_followers(&server->sync);
    sync_poll_refused(&server->sync);
    for (size_t i = 0; i < sync_version_count; i++) {
        sync_poll_followers(&server->versions[i]);
        sync_poll_refused(&server->versions[i]);
    }
    health_poll(&server->health_service, monotonic_ms(NULL));
    review_rollouts(server, monotonic_ms(NULL));
}

static void on_drained(void *context)
{
    struct server *server = context;

    uv_close((uv_handle_t *)&server->terminate, NULL);
    uv_close((uv_handle_t *)&server->interrupt, NULL);
    uv_close((uv_handle_t *)&server->hang_up, NULL);
    uv_close((uv_handle_t *)&server->follow_timer, NULL);
    uv_stop(&server->loop);
}

static void on_stop_signal(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;

    if (server->draining)
        return;
    server->draining = true;
    fprintf(stderr, "outpostd: %s: draining\n", number == SIGTERM ? "SIGTERM" : "SIGINT");
    grpc_health_shut_down(server->health);
    rpc_uv_listener_drain(server->listener, DRAIN_GRACE_MS, on_drained, server);
}

/* ---- TLS ------------------------------------------------------------------ */

static struct rpc_status read_file(const struct config *config, const char *name,
                                   struct rpc_buffer *buffer)
{
    char path[CONFIG_PATH_LEN];
    uint8_t bytes[4096];
    size_t len;

    config_path(config, name, path);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return rpc_status_make(RPC_NOT_FOUND, "cannot read %s: run outpostd init --data %s first",
                               path, config->folder);
    while ((len = fread(bytes, 1, sizeof bytes, file)) > 0)
        rpc_buffer_append(buffer, bytes, len);
    bool good = !ferror(file) && !buffer->failed;
    fclose(file);
    return good ? rpc_status_ok() : rpc_status_make(RPC_UNAVAILABLE, "cannot read %s", path);
}

static struct rpc_status load_tls(const struct config *config, rpc_tls **tls_out)
{
    static const char *const names[] = {"ca.pem", "server.pem", "server.key"};
    struct rpc_buffer files[3];
    struct rpc_status status = rpc_status_ok();

    for (size_t i = 0; i < 3; i++)
        rpc_buffer_init(&files[i], FILE_BYTES_MAX);
    for (size_t i = 0; i < 3 && rpc_ok(&status); i++)
        status = read_file(config, names[i], &files[i]);
    if (rpc_ok(&status)) {
        struct rpc_tls_options options = {
            .ca_pem = rpc_buffer_view(&files[0]),
            .certificate_pem = rpc_buffer_view(&files[1]),
            .key_pem = rpc_buffer_view(&files[2]),
        };
        status = rpc_tls_server_new(&options, tls_out);
    }
    for (size_t i = 0; i < 3; i++)
        rpc_buffer_deinit(&files[i]);
    return status;
}

/* New files, for connections from now on; with bad ones the old stay in use. */
static void on_reload_signal(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;
    rpc_tls *tls = NULL;

    (void)number;
    if (server->draining)
        return;
    struct rpc_status status = load_tls(server->config, &tls);
    if (!rpc_ok(&status)) {
        fprintf(stderr, "outpostd: SIGHUP: %s; the old certificate stays in use\n", status.message);
        return;
    }
    rpc_uv_listener_set_tls(server->listener, tls);
    rpc_tls_free(server->tls);
    server->tls = tls;
    fprintf(stderr, "outpostd: SIGHUP: the certificate was read anew\n");
}

/* ---- Together ------------------------------------------------------------- */

static int start_handles(struct server *server)
{
    int code = uv_async_init(&server->loop, &server->store_ready, on_store_ready);

    if (code == 0)
        code = uv_timer_init(&server->loop, &server->follow_timer);
    if (code == 0)
        code = uv_signal_init(&server->loop, &server->terminate);
    if (code == 0)
        code = uv_signal_init(&server->loop, &server->interrupt);
    if (code == 0)
        code = uv_signal_init(&server->loop, &server->hang_up);
    server->store_ready.data = server;
    server->follow_timer.data = server;
    server->terminate.data = server;
    server->interrupt.data = server;
    server->hang_up.data = server;
    if (code == 0)
        code = uv_timer_start(&server->follow_timer, on_follow_timer, SYNC_FOLLOW_INTERVAL_MS,
                              SYNC_FOLLOW_INTERVAL_MS);
    if (code == 0)
        code = uv_signal_start(&server->terminate, on_stop_signal, SIGTERM);
    if (code == 0)
        code = uv_signal_start(&server->interrupt, on_stop_signal, SIGINT);
    if (code == 0)
        code = uv_signal_start(&server->hang_up, on_reload_signal, SIGHUP);
    return code;
}

/* With a handle of its own: the serving one tells the loop, which does not run yet. */
static struct rpc_status replay_enrolments(struct server *server)
{
    struct store_options options = {.roles = server->streams.roles};
    struct store *store = NULL;
    struct rpc_status status = engine_open(server->config, &options, &store);

    if (rpc_ok(&status))
        status = enrolled_replay(server->config, store);
    store_close(store);
    return status;
}

/* Health and reflection: for probes and tools, which have no certificate. */
static struct rpc_status open_standard_services(struct server *server)
{
    const struct rpc_bytes sets[] = {outpost_descriptors, grpc_descriptors};

    server->health = grpc_health_new();
    server->reflection = grpc_reflection_new(sets, sizeof sets / sizeof sets[0]);
    if (server->health == NULL || server->reflection == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "out of memory");
    health_init(&server->health_service, server->streams.store, server->health);
    return rpc_status_ok();
}

static struct rpc_status open_services(struct server *server)
{
    struct store_options options = {.note = enrolled_note,
                                    .note_context = (void *)server->config,
                                    .notify = notify_loop,
                                    .context = server};
    struct stream_service *streams = &server->streams;

    if (!scope_roles_find(&outpost_v1_schema, &streams->roles))
        return rpc_status_make(RPC_INTERNAL, "the schema has no facility and no region type");
    options.roles = streams->roles;
    streams->settings = server->config->settings;
    streams->time_ms = wall_time_ms;
    streams->random = random_bytes;
    streams->sign = sign;
    streams->context = server;
    streams->hasher = record_hasher_new();
    if (streams->hasher == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "out of memory");
    server->sync.streams = streams;
    assert(sync_version_count <= SYNC_VERSIONS_MAX);
    for (size_t i = 0; i < sync_version_count; i++)
        server->versions[i] =
            (struct sync_service){.streams = streams, .version = &sync_versions[i]};
    server->enrol.streams = streams;
    struct rpc_status status = ca_load(server->config->folder, &server->enrol.ca);
    if (rpc_ok(&status))
        status = load_tls(server->config, &server->tls);
    if (rpc_ok(&status))
        status = replay_enrolments(server);
    if (rpc_ok(&status))
        status = engine_open(server->config, &options, &streams->store);
    if (rpc_ok(&status))
        status = open_standard_services(server);
    return status;
}

static struct rpc_status open_listener(struct server *server, const char *listen)
{
    struct rpc_server_options options;
    size_t count;

    sync_handlers(&server->sync, &server->sync_handlers);
    server->enrol_handlers = (struct outpost_v1_enrolment_service_handlers){
        .service = &server->enrol,
        .enrol = enrol_on_request,
        .enrol_closed = certify_closed,
        .recertify = recertify_on_request,
        .recertify_closed = certify_closed,
        .report_wiped = report_wiped,
        .report_wiped_closed = report_wiped_closed,
    };
    count = outpost_v1_sync_service_methods(&server->sync_handlers, server->methods);
    count += outpost_v1_enrolment_service_methods(&server->enrol_handlers, server->methods + count);
    for (size_t i = 0; i < sync_version_count; i++)
        server->methods[count++] = sync_version_method(&server->versions[i]);
    count += grpc_health_methods(server->health, server->methods + count);
    count += grpc_reflection_methods(server->reflection, server->methods + count);
    grpc_reflection_list(server->reflection, server->methods, count);
    rpc_server_options_init_default(&options);
    options.methods = server->methods;
    options.method_count = count;
    options.tls = server->tls;
    options.clock = (struct rpc_clock){.now_ms = monotonic_ms};
    options.ping_interval_min_ms = PING_INTERVAL_MIN_MS;
    return rpc_uv_listen(&server->loop, listen, &options, &server->listener);
}

static void close_walked(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Takes apart what was put together, however far that went. */
static void close_server(struct server *server)
{
    rpc_uv_listener_free(server->listener);
    store_close(server->streams.store);
    uv_walk(&server->loop, close_walked, NULL);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->loop);
    rpc_tls_free(server->tls);
    grpc_health_free(server->health);
    grpc_reflection_free(server->reflection);
    ca_free(server->enrol.ca);
    record_hasher_free(server->streams.hasher);
}

struct rpc_status serve(const struct config *config, const char *listen)
{
    struct server server = {.config = config};
    int code = uv_loop_init(&server.loop);

    if (code != 0)
        return rpc_status_make(RPC_UNAVAILABLE, "start the event loop: %s", uv_strerror(code));
    code = start_handles(&server);
    struct rpc_status status =
        code == 0 ? open_services(&server)
                  : rpc_status_make(RPC_UNAVAILABLE, "start the event loop: %s", uv_strerror(code));
    if (rpc_ok(&status))
        status = open_listener(&server, listen != NULL ? listen : config->listen);
    if (rpc_ok(&status)) {
        printf("listening on %s\n", rpc_uv_listener_address(server.listener));
        fflush(stdout);
        uv_run(&server.loop, UV_RUN_DEFAULT);
    }
    close_server(&server);
    return status;
}
