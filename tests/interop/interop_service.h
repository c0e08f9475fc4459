/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc.testing.TestService: what gRPC's interoperability tests ask of a server.
 */
#ifndef OUTPOST_TESTS_INTEROP_SERVICE_H
#define OUTPOST_TESTS_INTEROP_SERVICE_H

#include "grpc/testing/test.rpc.h"

#include <uv.h>

struct interop_output;

struct interop_service {
    uv_loop_t *loop;
    struct interop_output *outputs; /* calls with responses to send */
    struct grpc_testing_test_service_handlers handlers;
};

/* Fills in the handlers; the service lives as long as any connection. */
void interop_service_init(struct interop_service *service, uv_loop_t *loop);

#endif
