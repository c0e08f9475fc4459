/* SPDX-License-Identifier: Apache-2.0
 *
 * A contract: all that a set of .proto files declares, as `protoc -o` wrote it, found
 * by full names. A message may move from file to file; its full name is what counts.
 */
#ifndef OUTPOST_CHECK_CONTRACT_H
#define OUTPOST_CHECK_CONTRACT_H

#include "google/protobuf/descriptor.pb-c.h"

#include "../plugin/output.h"

typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;
typedef Google__Protobuf__FieldDescriptorProto field_proto;
typedef Google__Protobuf__EnumDescriptorProto enum_proto;
typedef Google__Protobuf__ServiceDescriptorProto service_proto;

enum {
    /* Bytes of a set: protects from a file that is something else. */
    CONTRACT_BYTES_MAX = 64 * 1024 * 1024,
    /* Messages, enums and services of a contract, each: protects the searches by
     * name, which go through all. */
    CONTRACT_NAMES_MAX = 4096,
};

/* Full names are without the leading dot. */
struct contract_message {
    const file_proto *file;
    const char *name;
    const message_proto *proto;
};

struct contract_enum {
    const file_proto *file;
    const char *name;
    const enum_proto *proto;
};

struct contract_service {
    const file_proto *file;
    const char *name;
    const service_proto *proto;
};

struct contract {
    Google__Protobuf__FileDescriptorSet *set;
    struct contract_message *messages;
    struct contract_enum *enums;
    struct contract_service *services;
    size_t message_count, enum_count, service_count;
};

/* Reads a file of `protoc --include_imports -o`. False: a line on standard error; free
 * it all the same. Names live as long as the output. */
bool contract_read(struct contract *contract, const char *path, struct output *output);
void contract_free(struct contract *contract);

/* NULL: there is none. */
const struct contract_message *contract_message(const struct contract *contract, const char *name);
const struct contract_enum *contract_enum(const struct contract *contract, const char *name);
const struct contract_service *contract_service(const struct contract *contract, const char *name);
bool contract_has_package(const struct contract *contract, const char *package);
/* google.protobuf is protoc's, and no part of what is released. */
bool contract_is_foreign(const file_proto *file);

#endif
