/* SPDX-License-Identifier: Apache-2.0 */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool contract_is_foreign(const file_proto *file)
{
    return file->package != NULL && strcmp(file->package, "google.protobuf") == 0;
}

static const char *full_name(struct output *output, const char *scope, const char *name)
{
    return scope[0] != '\0' ? output_string(output, "%s.%s", scope, name)
                            : output_string(output, "%s", name);
}

/* False: more than fit. */
static bool add_enums(struct contract *contract, const file_proto *file, const char *scope,
                      enum_proto *const *enums, size_t count, struct output *output)
{
    for (size_t i = 0; i < count; i++) {
        if (contract->enum_count == CONTRACT_NAMES_MAX)
            return false;
        contract->enums[contract->enum_count++] =
            (struct contract_enum){file, full_name(output, scope, enums[i]->name), enums[i]};
    }
    return true;
}

static bool add_messages(struct contract *contract, const file_proto *file, const char *scope,
                         message_proto *const *messages, size_t count, struct output *output)
{
    for (size_t i = 0; i < count; i++) {
        const message_proto *message = messages[i];
        const char *name = full_name(output, scope, message->name);
        if (contract->message_count == CONTRACT_NAMES_MAX)
            return false;
        contract->messages[contract->message_count++] =
            (struct contract_message){file, name, message};
        if (!add_messages(contract, file, name, message->nested_type, message->n_nested_type,
                          output) ||
            !add_enums(contract, file, name, message->enum_type, message->n_enum_type, output))
            return false;
    }
    return true;
}

static bool add_file(struct contract *contract, const file_proto *file, struct output *output)
{
    const char *package = file->package != NULL ? file->package : "";

    for (size_t i = 0; i < file->n_service; i++) {
        if (contract->service_count == CONTRACT_NAMES_MAX)
            return false;
        contract->services[contract->service_count++] = (struct contract_service){
            file, full_name(output, package, file->service[i]->name), file->service[i]};
    }
    return add_messages(contract, file, package, file->message_type, file->n_message_type,
                        output) &&
           add_enums(contract, file, package, file->enum_type, file->n_enum_type, output);
}

static Google__Protobuf__FileDescriptorSet *read_set(const char *path)
{
    Google__Protobuf__FileDescriptorSet *set = NULL;
    struct text bytes = {0};
    char part[16 * 1024];
    size_t len;
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        fprintf(stderr, "schema-check: cannot read %s\n", path);
        return NULL;
    }
    while ((len = fread(part, 1, sizeof part, file)) > 0 && bytes.len < CONTRACT_BYTES_MAX)
        text_add_bytes(&bytes, part, len);
    if (!ferror(file) && feof(file) && bytes.len > 0)
        set = google__protobuf__file_descriptor_set__unpack(NULL, bytes.len,
                                                            (const uint8_t *)bytes.data);
    if (set == NULL || set->n_file == 0)
        fprintf(stderr, "schema-check: %s is no descriptor set: make it with protoc -o\n", path);
    text_deinit(&bytes);
    fclose(file);
    return set;
}

bool contract_read(struct contract *contract, const char *path, struct output *output)
{
    *contract = (struct contract){.set = read_set(path)};
    if (contract->set == NULL || contract->set->n_file == 0)
        return false;
    contract->messages = output_alloc(output, CONTRACT_NAMES_MAX, sizeof contract->messages[0]);
    contract->enums = output_alloc(output, CONTRACT_NAMES_MAX, sizeof contract->enums[0]);
    contract->services = output_alloc(output, CONTRACT_NAMES_MAX, sizeof contract->services[0]);
    for (size_t i = 0; i < contract->set->n_file; i++) {
        const file_proto *file = contract->set->file[i];
        if (!contract_is_foreign(file) && !add_file(contract, file, output)) {
            fprintf(stderr, "schema-check: %s declares more than %d names\n", path,
                    CONTRACT_NAMES_MAX);
            return false;
        }
    }
    return true;
}

void contract_free(struct contract *contract)
{
    if (contract->set != NULL)
        google__protobuf__file_descriptor_set__free_unpacked(contract->set, NULL);
}

const struct contract_message *contract_message(const struct contract *contract, const char *name)
{
    for (size_t i = 0; i < contract->message_count; i++)
        if (strcmp(contract->messages[i].name, name) == 0)
            return &contract->messages[i];
    return NULL;
}

const struct contract_enum *contract_enum(const struct contract *contract, const char *name)
{
    for (size_t i = 0; i < contract->enum_count; i++)
        if (strcmp(contract->enums[i].name, name) == 0)
            return &contract->enums[i];
    return NULL;
}

const struct contract_service *contract_service(const struct contract *contract, const char *name)
{
    for (size_t i = 0; i < contract->service_count; i++)
        if (strcmp(contract->services[i].name, name) == 0)
            return &contract->services[i];
    return NULL;
}

bool contract_has_package(const struct contract *contract, const char *package)
{
    for (size_t i = 0; i < contract->set->n_file; i++) {
        const char *present = contract->set->file[i]->package;
        if (strcmp(present != NULL ? present : "", package) == 0)
            return true;
    }
    return false;
}
