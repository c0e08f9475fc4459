/* SPDX-License-Identifier: Apache-2.0 */
#include "descriptors.h"

#include <stdlib.h>

typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;
typedef Google__Protobuf__FieldDescriptorProto field_proto;
typedef Google__Protobuf__EnumDescriptorProto enum_proto;
typedef Google__Protobuf__ServiceDescriptorProto service_proto;

/* ---- Reading a set ------------------------------------------------------------- */

enum {
    SET_FILE_TAG = 0x0a, /* FileDescriptorSet.file: field 1, with a length */
};

static bool read_length(struct rpc_bytes *bytes, size_t *length_out)
{
    size_t value = 0;

    for (unsigned shift = 0; bytes->len > 0 && shift < 32; shift += 7) {
        uint8_t byte = *bytes->data;
        bytes->data++;
        bytes->len--;
        value |= (size_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *length_out = value;
            return value <= bytes->len;
        }
    }
    return false;
}

static bool add_file(struct descriptors *descriptors, struct rpc_bytes bytes)
{
    file_proto *proto =
        google__protobuf__file_descriptor_proto__unpack(NULL, bytes.len, bytes.data);
    bool known = proto != NULL && descriptors_by_name(descriptors, proto->name) != NULL;

    if (proto == NULL || proto->name == NULL ||
        (!known && descriptors->file_count == GRPC_REFLECTION_FILES_MAX)) {
        google__protobuf__file_descriptor_proto__free_unpacked(proto, NULL);
        return false;
    }
    if (known)
        google__protobuf__file_descriptor_proto__free_unpacked(proto, NULL);
    else
        descriptors->files[descriptors->file_count++] = (struct descriptors_file){bytes, proto};
    return true;
}

bool descriptors_add(struct descriptors *descriptors, struct rpc_bytes set)
{
    size_t len;

    while (set.len > 0) {
        if (*set.data != SET_FILE_TAG)
            return false;
        set.data++;
        set.len--;
        if (!read_length(&set, &len) || !add_file(descriptors, rpc_bytes_view(set.data, len)))
            return false;
        set.data += len;
        set.len -= len;
    }
    return true;
}

void descriptors_deinit(struct descriptors *descriptors)
{
    for (size_t i = 0; i < descriptors->file_count; i++)
        google__protobuf__file_descriptor_proto__free_unpacked(descriptors->files[i].proto, NULL);
    descriptors->file_count = 0;
}

/* ---- Symbols --------------------------------------------------------------------- */

/* What is left of a full name inside the scope: "b.c" of "a.b.c" in "a", "" of the
 * scope's own name. NULL: it is not in there. */
static const char *inside(const char *symbol, const char *scope)
{
    size_t len = scope != NULL ? strlen(scope) : 0;

    if (len == 0)
        return symbol;
    if (strncmp(symbol, scope, len) != 0)
        return NULL;
    if (symbol[len] == '\0')
        return symbol + len;
    return symbol[len] == '.' ? symbol + len + 1 : NULL;
}

static bool field_declares(field_proto *const *fields, size_t count, const char *symbol)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(fields[i]->name, symbol) == 0)
            return true;
    return false;
}

/* The values of an enum are declared beside it. */
static bool enum_declares(enum_proto *const *enums, size_t count, const char *symbol)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(enums[i]->name, symbol) == 0)
            return true;
        for (size_t j = 0; j < enums[i]->n_value; j++)
            if (strcmp(enums[i]->value[j]->name, symbol) == 0)
                return true;
    }
    return false;
}

static bool message_declares(const message_proto *message, const char *symbol)
{
    const char *rest = inside(symbol, message->name);

    if (rest == NULL)
        return false;
    if (*rest == '\0' || field_declares(message->field, message->n_field, rest) ||
        field_declares(message->extension, message->n_extension, rest) ||
        enum_declares(message->enum_type, message->n_enum_type, rest))
        return true;
    for (size_t i = 0; i < message->n_oneof_decl; i++)
        if (strcmp(message->oneof_decl[i]->name, rest) == 0)
            return true;
    for (size_t i = 0; i < message->n_nested_type; i++)
        if (message_declares(message->nested_type[i], rest))
            return true;
    return false;
}

static bool service_declares(const service_proto *service, const char *symbol)
{
    const char *rest = inside(symbol, service->name);

    if (rest == NULL || *rest == '\0')
        return rest != NULL;
    for (size_t i = 0; i < service->n_method; i++)
        if (strcmp(service->method[i]->name, rest) == 0)
            return true;
    return false;
}

static bool file_declares(const file_proto *file, const char *symbol)
{
    const char *rest = inside(symbol, file->package);

    if (rest == NULL || *rest == '\0')
        return false;
    for (size_t i = 0; i < file->n_message_type; i++)
        if (message_declares(file->message_type[i], rest))
            return true;
    for (size_t i = 0; i < file->n_service; i++)
        if (service_declares(file->service[i], rest))
            return true;
    return enum_declares(file->enum_type, file->n_enum_type, rest) ||
           field_declares(file->extension, file->n_extension, rest);
}

const struct descriptors_file *descriptors_by_name(const struct descriptors *descriptors,
                                                   const char *name)
{
    for (size_t i = 0; i < descriptors->file_count; i++)
        if (name != NULL && strcmp(descriptors->files[i].proto->name, name) == 0)
            return &descriptors->files[i];
    return NULL;
}

const struct descriptors_file *descriptors_by_symbol(const struct descriptors *descriptors,
                                                     const char *symbol)
{
    for (size_t i = 0; i < descriptors->file_count; i++)
        if (file_declares(descriptors->files[i].proto, symbol))
            return &descriptors->files[i];
    return NULL;
}

/* ---- Extensions ------------------------------------------------------------------ */

/* Collects numbers; of a type name the leading dot is protoc's. */
struct numbers {
    const char *extendee;
    int32_t *numbers;
    size_t count, count_max;
};

static void collect_fields(struct numbers *numbers, field_proto *const *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *extendee = fields[i]->extendee;
        if (extendee != NULL && extendee[0] == '.' &&
            strcmp(extendee + 1, numbers->extendee) == 0 && numbers->count < numbers->count_max)
            numbers->numbers[numbers->count++] = fields[i]->number;
    }
}

static void collect_message(struct numbers *numbers, const message_proto *message)
{
    collect_fields(numbers, message->extension, message->n_extension);
    for (size_t i = 0; i < message->n_nested_type; i++)
        collect_message(numbers, message->nested_type[i]);
}

static void collect_file(struct numbers *numbers, const file_proto *file)
{
    collect_fields(numbers, file->extension, file->n_extension);
    for (size_t i = 0; i < file->n_message_type; i++)
        collect_message(numbers, file->message_type[i]);
}

size_t descriptors_extension_numbers(const struct descriptors *descriptors, const char *extendee,
                                     int32_t *numbers_out, size_t count_max)
{
    struct numbers numbers = {extendee, numbers_out, 0, count_max};

    for (size_t i = 0; i < descriptors->file_count; i++)
        collect_file(&numbers, descriptors->files[i].proto);
    return numbers.count;
}

const struct descriptors_file *descriptors_by_extension(const struct descriptors *descriptors,
                                                        const char *extendee, int32_t number)
{
    int32_t found[GRPC_REFLECTION_FILES_MAX];

    for (size_t i = 0; i < descriptors->file_count; i++) {
        struct numbers numbers = {extendee, found, 0, GRPC_REFLECTION_FILES_MAX};
        collect_file(&numbers, descriptors->files[i].proto);
        for (size_t j = 0; j < numbers.count; j++)
            if (found[j] == number)
                return &descriptors->files[i];
    }
    return NULL;
}

/* ---- Imports ---------------------------------------------------------------------- */

static bool contains(const struct descriptors_file *const *files, size_t count,
                     const struct descriptors_file *file)
{
    for (size_t i = 0; i < count; i++)
        if (files[i] == file)
            return true;
    return false;
}

size_t descriptors_with_imports(const struct descriptors *descriptors,
                                const struct descriptors_file *file,
                                const struct descriptors_file *files_out[GRPC_REFLECTION_FILES_MAX])
{
    size_t count = 0;

    files_out[count++] = file;
    for (size_t i = 0; i < count; i++) {
        const file_proto *proto = files_out[i]->proto;
        for (size_t j = 0; j < proto->n_dependency; j++) {
            const struct descriptors_file *import =
                descriptors_by_name(descriptors, proto->dependency[j]);
            if (import != NULL && !contains(files_out, count, import))
                files_out[count++] = import;
        }
    }
    return count;
}
