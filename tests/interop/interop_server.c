/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc-interop-server: gRPC's interoperability test server on this runtime, with
 * the flags that all such servers have. Says `listening on ADDR:PORT` when
 * ready; SIGTERM drains it.
 */
#include "interop_flags.h"
#include "interop_service.h"
#include "outpost/rpc_uv.h"
#include "pem.h"

#include <signal.h>

static void on_drained(void *listener)
{
    rpc_uv_listener_free(listener);
}

static void on_terminate(uv_signal_t *handle, int number)
{
    (void)number;
    uv_close((uv_handle_t *)handle, NULL);
    rpc_uv_listener_drain(handle->data, 1000, on_drained, handle->data);
}

static void must(struct rpc_status status)
{
    if (rpc_ok(&status))
        return;
    fprintf(stderr, "rpc-interop-server: %s\n", status.message);
    exit(EXIT_FAILURE);
}

static rpc_tls *load_tls(const struct interop_flags *flags)
{
    struct rpc_tls_options options = {0};
    rpc_tls *tls = NULL;

    if (!flags->use_tls)
        return NULL;
    if (flags->tls_cert_file == NULL || flags->tls_key_file == NULL)
        must(rpc_status_make(RPC_INVALID_ARGUMENT,
                             "--use_tls needs --tls_cert_file and --tls_key_file"));
    options.certificate_pem = pem_read(flags->tls_cert_file);
    options.key_pem = pem_read(flags->tls_key_file);
    must(rpc_tls_server_new(&options, &tls));
    pem_free(&options);
    return tls;
}

/* On all addresses; without IPv6 on those of IPv4. */
static rpc_uv_listener *listen_on(uv_loop_t *loop, const char *port,
                                  const struct rpc_server_options *options)
{
    rpc_uv_listener *listener = NULL;
    char address[64];

    snprintf(address, sizeof address, "[::]:%s", port);
    struct rpc_status status = rpc_uv_listen(loop, address, options, &listener);
    if (!rpc_ok(&status)) {
        snprintf(address, sizeof address, "0.0.0.0:%s", port);
        must(rpc_uv_listen(loop, address, options, &listener));
    }
    return listener;
}

int main(int argc, char **argv)
{
    struct interop_flags flags = interop_flags_parse(argc, argv);
    struct rpc_method methods[GRPC_TESTING_TEST_SERVICE_METHODS];
    struct interop_service service;
    struct rpc_server_options options;
    uv_signal_t terminate;
    uv_loop_t loop;

    uv_loop_init(&loop);
    interop_service_init(&service, &loop);
    rpc_server_options_init_default(&options);
    options.methods = methods;
    options.method_count = grpc_testing_test_service_methods(&service.handlers, methods);
    options.tls = load_tls(&flags);
    rpc_uv_listener *listener = listen_on(&loop, flags.port, &options);
    uv_signal_init(&loop, &terminate);
    terminate.data = listener;
    uv_signal_start(&terminate, on_terminate, SIGTERM);
    printf("listening on %s\n", rpc_uv_listener_address(listener));
    fflush(stdout);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    rpc_tls_free(options.tls);
    return EXIT_SUCCESS;
}
