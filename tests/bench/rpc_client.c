/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a stream of Echo.Generate to its end, as fast as it comes:
 *
 *     rpc-bench-client ADDR:PORT CA_FILE COUNT BYTES
 *
 * Prints how many messages came; the exit code is 0 when all did.
 */
#include "echo.pb-c.h"
#include "outpost/rpc_channel.h"
#include "pem.h"

struct reading {
    unsigned long count;
    bool closed;
    struct rpc_status status;
};

static void on_message(void *context, rpc_call *call, struct rpc_bytes message)
{
    (void)call, (void)message;
    ((struct reading *)context)->count++;
}

static void on_close(void *context, rpc_call *call, const struct rpc_status *status,
                     struct rpc_metadata_list trailers)
{
    struct reading *reading = context;

    (void)call, (void)trailers;
    reading->closed = true;
    reading->status = *status;
}

static bool is_closed(void *context)
{
    return ((const struct reading *)context)->closed;
}

static void must(struct rpc_status status)
{
    if (rpc_ok(&status))
        return;
    fprintf(stderr, "rpc-bench-client: %s: %s\n", rpc_code_name(status.code), status.message);
    exit(EXIT_FAILURE);
}

static void ask(rpc_channel *channel, struct reading *reading, unsigned count, unsigned bytes)
{
    Outpost__Interop__V1__GenerateRequest request = OUTPOST__INTEROP__V1__GENERATE_REQUEST__INIT;
    const struct rpc_call_options options = {
        .path = "/outpost.interop.v1.Echo/Generate",
        .events = {.on_message = on_message, .on_close = on_close},
        .context = reading,
    };
    uint8_t packed[32];

    request.count = count;
    request.bytes = bytes;
    rpc_call *call = rpc_client_call(rpc_channel_conn(channel), &options);
    if (call == NULL)
        abort();
    rpc_call_send(call, rpc_bytes_view(packed, outpost__interop__v1__generate_request__pack(
                                                   &request, packed)));
    rpc_call_half_close(call);
}

int main(int argc, char **argv)
{
    struct rpc_tls_options tls = {0};
    struct rpc_channel_options options;
    struct reading reading = {0};
    rpc_channel *channel = NULL;

    if (argc != 5) {
        fprintf(stderr, "usage: rpc-bench-client ADDR:PORT CA_FILE COUNT BYTES\n");
        return 64;
    }
    unsigned count = (unsigned)strtoul(argv[3], NULL, 10);
    rpc_channel_options_init_default(&options);
    options.address = argv[1];
    tls.ca_pem = pem_read(argv[2]);
    must(rpc_tls_client_new(&tls, &options.tls));
    must(rpc_channel_open(&options, &channel));
    ask(channel, &reading, count, (unsigned)strtoul(argv[4], NULL, 10));
    must(rpc_channel_run(channel, is_closed, &reading));
    must(reading.status);
    printf("%lu\n", reading.count);
    rpc_channel_close(channel);
    rpc_tls_free(options.tls);
    pem_free(&tls);
    return reading.count == count ? EXIT_SUCCESS : EXIT_FAILURE;
}
