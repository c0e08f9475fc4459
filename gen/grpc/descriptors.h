/* SPDX-License-Identifier: Apache-2.0
 *
 * The .proto files that a server was built from, searched by name. A file's bytes
 * are handed out as protoc wrote them, so that options which this program does
 * not know stay in them.
 */
#ifndef OUTPOST_GRPC_DESCRIPTORS_H
#define OUTPOST_GRPC_DESCRIPTORS_H

#include "outpost/grpc_reflection.h"

#include <google/protobuf/descriptor.pb-c.h>

struct descriptors_file {
    struct rpc_bytes bytes;
    Google__Protobuf__FileDescriptorProto *proto;
};

struct descriptors {
    struct descriptors_file files[GRPC_REFLECTION_FILES_MAX];
    size_t file_count;
};

/* Adds the files of a FileDescriptorSet that are not there yet. False: it is none,
 * or there are too many. */
bool descriptors_add(struct descriptors *descriptors, struct rpc_bytes set);
void descriptors_deinit(struct descriptors *descriptors);

/* NULL: there is none. */
const struct descriptors_file *descriptors_by_name(const struct descriptors *descriptors,
                                                   const char *name);
/* The file that declares the full name, without a leading dot. */
const struct descriptors_file *descriptors_by_symbol(const struct descriptors *descriptors,
                                                     const char *symbol);
const struct descriptors_file *descriptors_by_extension(const struct descriptors *descriptors,
                                                        const char *extendee, int32_t number);

/* Numbers of the extensions of a message, at most count_max; returns how many. */
size_t descriptors_extension_numbers(const struct descriptors *descriptors, const char *extendee,
                                     int32_t *numbers_out, size_t count_max);

/* The file and all that it imports, each once, the file first; returns how many. */
size_t descriptors_with_imports(
    const struct descriptors *descriptors, const struct descriptors_file *file,
    const struct descriptors_file *files_out[GRPC_REFLECTION_FILES_MAX]);

#endif
