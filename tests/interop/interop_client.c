/* SPDX-License-Identifier: Apache-2.0
 *
 * rpc-interop-client: gRPC's interoperability test client on this runtime, with
 * the flags that all such clients have. Says `ok CASE` or `FAILED CASE` for each
 * case; the exit code is 0 when all passed.
 */
#include "interop_cases.h"
#include "pem.h"

#include <stdio.h>
#include <stdlib.h>

static const char system_ca_file[] = "/etc/ssl/certs/ca-certificates.crt";

static void must(struct rpc_status status)
{
    if (rpc_ok(&status))
        return;
    fprintf(stderr, "rpc-interop-client: %s: %s\n", rpc_code_name(status.code), status.message);
    exit(EXIT_FAILURE);
}

static rpc_tls *load_tls(const struct interop_flags *flags)
{
    const char *ca_file = flags->ca_file;
    struct rpc_tls_options options = {0};
    rpc_tls *tls = NULL;

    if (!flags->use_tls)
        return NULL;
    if (flags->use_test_ca && ca_file == NULL)
        must(rpc_status_make(RPC_INVALID_ARGUMENT,
                             "no test CA is built in: name its certificate with --ca_file"));
    options.ca_pem = pem_read(ca_file != NULL ? ca_file : system_ca_file);
    must(rpc_tls_client_new(&options, &tls));
    pem_free(&options);
    return tls;
}

static bool run_case(const struct interop_case *one, const struct rpc_channel_options *options,
                     const struct interop_flags *flags)
{
    rpc_channel *channel = NULL;

    must(rpc_channel_open(options, &channel));
    bool passed = one->run(channel, options, flags);
    rpc_channel_close(channel);
    printf("%s %s\n", passed ? "ok    " : "FAILED", one->name);
    return passed;
}

int main(int argc, char **argv)
{
    struct interop_flags flags = interop_flags_parse(argc, argv);
    bool all = strcmp(flags.test_case, "all") == 0;
    const struct interop_case *one = interop_case_find(flags.test_case);
    struct rpc_channel_options options;
    bool passed = true;
    char address[300];

    if (one == NULL && !all) {
        fprintf(stderr, "rpc-interop-client: there is no case \"%s\"\n", flags.test_case);
        return 64;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    bool bare_ipv6 = strchr(flags.server_host, ':') != NULL && flags.server_host[0] != '[';
    snprintf(address, sizeof address, bare_ipv6 ? "[%s]:%s" : "%s:%s", flags.server_host,
             flags.server_port);
    rpc_channel_options_init_default(&options);
    options.address = address;
    options.authority = flags.server_host_override;
    options.tls = load_tls(&flags);
    for (size_t i = 0; all && (one = interop_case_at(i)) != NULL; i++)
        if (!one->slow)
            passed &= run_case(one, &options, &flags);
    if (!all)
        passed = run_case(one, &options, &flags);
    rpc_tls_free(options.tls);
    return passed ? EXIT_SUCCESS : EXIT_FAILURE;
}
