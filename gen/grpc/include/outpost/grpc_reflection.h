/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc.reflection.v1 and v1alpha: a server tells tools (grpcurl, Postman) what it
 * serves, from the descriptors that were built into it.
 */
#ifndef OUTPOST_GRPC_REFLECTION_H
#define OUTPOST_GRPC_REFLECTION_H

#include "outpost/rpc.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct grpc_reflection grpc_reflection;

enum {
    GRPC_REFLECTION_METHODS = 2,
    /* .proto files of a server, imports included. */
    GRPC_REFLECTION_FILES_MAX = 128,
    /* Services that it lists. */
    GRPC_REFLECTION_SERVICES_MAX = 32,
};

/* Descriptors of this library's own services: health and reflection. */
extern const struct rpc_bytes grpc_descriptors;

/* sets: FileDescriptorSets as protoc writes them with --include_imports; the same
 * file may be in several. They live as long as the reflection. NULL: no memory,
 * a set that is none, or too many files. */
grpc_reflection *grpc_reflection_new(const struct rpc_bytes *sets, size_t set_count);
/* After the last connection. */
void grpc_reflection_free(grpc_reflection *reflection);

/* For rpc_server_options; returns GRPC_REFLECTION_METHODS. */
size_t grpc_reflection_methods(grpc_reflection *reflection, struct rpc_method *methods_out);

/* The methods whose services are listed: the server's whole table. */
void grpc_reflection_list(grpc_reflection *reflection, const struct rpc_method *methods,
                          size_t method_count);

#ifdef __cplusplus
}
#endif

#endif
