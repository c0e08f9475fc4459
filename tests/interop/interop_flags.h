/* SPDX-License-Identifier: Apache-2.0
 *
 * The flags that gRPC's interoperability programs have in every language, as
 * `--flag=value` or `--flag value`. One parser for client and server: each takes
 * the other's flags too, so that one list can be given to both.
 */
#ifndef OUTPOST_TESTS_INTEROP_FLAGS_H
#define OUTPOST_TESTS_INTEROP_FLAGS_H

#include "outpost/rpc.h"

struct interop_flags {
    const char *port; /* server: to listen on; "0" picks one */
    const char *server_host;
    const char *server_port;
    const char *server_host_override; /* the name that the server must prove; NULL: server_host */
    bool use_tls;
    bool use_test_ca; /* trust ca_file alone, else the system's CAs */
    const char *ca_file;
    const char *tls_cert_file;
    const char *tls_key_file;
    const char *test_case; /* "all": every one but the soaks and the slow consumer */
    unsigned soak_iterations;
    unsigned soak_max_failures;
    unsigned soak_per_iteration_max_acceptable_latency_ms;
    unsigned soak_overall_timeout_seconds;
    unsigned soak_min_time_ms_between_rpcs;
};

/* Ends the program with 64 on what it does not know, with 0 after --help. */
struct interop_flags interop_flags_parse(int argc, char **argv);

#endif
