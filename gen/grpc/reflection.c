/* SPDX-License-Identifier: Apache-2.0
 *
 * Each request of a stream is answered by one response; what is not found is an
 * answer too, and the stream goes on. A client that reads no answers is not read
 * from: its requests are small and the answers are not.
 *
 * v1alpha's messages are v1's, field by field, so one pair of types serves both.
 */
#include "outpost/grpc_reflection.h"

#include "descriptors.h"
#include "grpc/reflection/v1/reflection.rpc.h"

#include <assert.h>
#include <stdlib.h>

typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;

static const char alpha_path[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

enum {
    SERVICE_NAME_SIZE = 128,
};

struct grpc_reflection {
    struct grpc_reflection_v1_server_reflection_handlers handlers;
    struct descriptors descriptors;
    char services[GRPC_REFLECTION_SERVICES_MAX][SERVICE_NAME_SIZE];
    size_t service_count;
};

/* ---- Answers ----------------------------------------------------------------------- */

static void send_error(rpc_call *call, reflection_response *response, enum rpc_code code,
                       const char *message)
{
    Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;

    error.error_code = (int32_t)code;
    error.error_message = (char *)message;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    response->error_response = &error;
    grpc_reflection_v1_server_reflection_server_reflection_info_send(call, response);
}

static void send_file(const grpc_reflection *reflection, rpc_call *call,
                      reflection_response *response, const struct descriptors_file *file)
{
    Grpc__Reflection__V1__FileDescriptorResponse files =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    const struct descriptors_file *found[GRPC_REFLECTION_FILES_MAX];
    ProtobufCBinaryData bytes[GRPC_REFLECTION_FILES_MAX];

    if (file == NULL) {
        send_error(call, response, RPC_NOT_FOUND, "no .proto file of this server has that");
        return;
    }
    files.n_file_descriptor_proto = descriptors_with_imports(&reflection->descriptors, file, found);
    for (size_t i = 0; i < files.n_file_descriptor_proto; i++)
        bytes[i] = (ProtobufCBinaryData){found[i]->bytes.len, (uint8_t *)found[i]->bytes.data};
    files.file_descriptor_proto = bytes;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    response->file_descriptor_response = &files;
    grpc_reflection_v1_server_reflection_server_reflection_info_send(call, response);
}

static void send_extension_numbers(const grpc_reflection *reflection, rpc_call *call,
                                   reflection_response *response, const char *type)
{
    Grpc__Reflection__V1__ExtensionNumberResponse numbers =
        GRPC__REFLECTION__V1__EXTENSION_NUMBER_RESPONSE__INIT;
    int32_t found[GRPC_REFLECTION_FILES_MAX];

    if (descriptors_by_symbol(&reflection->descriptors, type) == NULL) {
        send_error(call, response, RPC_NOT_FOUND, "no .proto file of this server has that type");
        return;
    }
    numbers.base_type_name = (char *)type;
    numbers.extension_number = found;
    numbers.n_extension_number = descriptors_extension_numbers(&reflection->descriptors, type,
                                                               found, GRPC_REFLECTION_FILES_MAX);
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
    response->all_extension_numbers_response = &numbers;
    grpc_reflection_v1_server_reflection_server_reflection_info_send(call, response);
}

static void send_services(grpc_reflection *reflection, rpc_call *call,
                          reflection_response *response)
{
    Grpc__Reflection__V1__ListServiceResponse list =
        GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    Grpc__Reflection__V1__ServiceResponse services[GRPC_REFLECTION_SERVICES_MAX];
    Grpc__Reflection__V1__ServiceResponse *pointers[GRPC_REFLECTION_SERVICES_MAX];

    for (size_t i = 0; i < reflection->service_count; i++) {
        grpc__reflection__v1__service_response__init(&services[i]);
        services[i].name = reflection->services[i];
        pointers[i] = &services[i];
    }
    list.service = pointers;
    list.n_service = reflection->service_count;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    response->list_services_response = &list;
    grpc_reflection_v1_server_reflection_server_reflection_info_send(call, response);
}

static void on_request(void *context, rpc_call *call, const reflection_request *request)
{
    grpc_reflection *reflection = context;
    const struct descriptors *descriptors = &reflection->descriptors;
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;

    response.valid_host = request->host;
    response.original_request = (reflection_request *)request;
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        send_file(reflection, call, &response,
                  descriptors_by_name(descriptors, request->file_by_filename));
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        send_file(reflection, call, &response,
                  descriptors_by_symbol(descriptors, request->file_containing_symbol));
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
        send_file(reflection, call, &response,
                  descriptors_by_extension(descriptors,
                                           request->file_containing_extension->containing_type,
                                           request->file_containing_extension->extension_number));
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        send_extension_numbers(reflection, call, &response, request->all_extension_numbers_of_type);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        send_services(reflection, call, &response);
        break;
    default:
        send_error(call, &response, RPC_INVALID_ARGUMENT, "the request asks for nothing");
        break;
    }
    if (!rpc_call_writable(call))
        rpc_call_pause_reading(call);
}

static void on_writable(void *context, rpc_call *call)
{
    (void)context;
    rpc_call_resume_reading(call);
}

static void on_half_close(void *context, rpc_call *call)
{
    (void)context;
    rpc_call_finish(call, rpc_status_ok());
}

/* ---- From outside --------------------------------------------------------------------- */

grpc_reflection *grpc_reflection_new(const struct rpc_bytes *sets, size_t set_count)
{
    grpc_reflection *reflection = calloc(1, sizeof *reflection);
    bool added = reflection != NULL;

    for (size_t i = 0; added && i < set_count; i++)
        added = descriptors_add(&reflection->descriptors, sets[i]);
    if (!added) {
        grpc_reflection_free(reflection);
        return NULL;
    }
    reflection->handlers.service = reflection;
    reflection->handlers.server_reflection_info.on_request = on_request;
    reflection->handlers.server_reflection_info.on_half_close = on_half_close;
    reflection->handlers.server_reflection_info.on_writable = on_writable;
    return reflection;
}

void grpc_reflection_free(grpc_reflection *reflection)
{
    if (reflection == NULL)
        return;
    descriptors_deinit(&reflection->descriptors);
    free(reflection);
}

size_t grpc_reflection_methods(grpc_reflection *reflection, struct rpc_method *methods_out)
{
    size_t count = grpc_reflection_v1_server_reflection_methods(&reflection->handlers, methods_out);

    methods_out[count] = methods_out[0];
    methods_out[count].path = alpha_path;
    return count + 1;
}

static void list_service(grpc_reflection *reflection, const char *path)
{
    const char *end = strchr(path + 1, '/');
    size_t len = (size_t)(end - path) - 1;

    assert(len < SERVICE_NAME_SIZE);
    for (size_t i = 0; i < reflection->service_count; i++)
        if (strncmp(reflection->services[i], path + 1, len) == 0 &&
            reflection->services[i][len] == '\0')
            return;
    assert(reflection->service_count < GRPC_REFLECTION_SERVICES_MAX);
    memcpy(reflection->services[reflection->service_count++], path + 1, len);
}

void grpc_reflection_list(grpc_reflection *reflection, const struct rpc_method *methods,
                          size_t method_count)
{
    for (size_t i = 0; i < method_count; i++)
        list_service(reflection, methods[i].path);
}
