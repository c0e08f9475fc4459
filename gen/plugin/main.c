/* SPDX-License-Identifier: Apache-2.0
 *
 * protoc-gen-outpost: from the annotated .proto files of one package to the
 * record tables, the device's SQL and the typed gRPC stubs.
 *
 *     protoc -I proto --outpost_out=gen proto/outpost/v1/TYPE.proto ...
 *     protoc -I proto --outpost_out=proto --outpost_opt=envelope (the same files)
 *
 * protoc starts it, writes a request to its standard input and reads the
 * response from its standard output. What is wrong in a .proto file goes into
 * the response; only a broken conversation with protoc ends with an exit code.
 */
#include "emit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* Bytes of a request: protects from whoever feeds the plugin something else. */
    REQUEST_BYTES_MAX = 64 * 1024 * 1024,
    FEATURE_PROTO3_OPTIONAL = 1,
};

struct parameters {
    bool envelope;     /* "envelope": write record.proto and nothing else */
    uint32_t revision; /* "revision=N": of the released set of record types */
};

static bool read_parameter(struct output *output, const char *text, size_t len,
                           struct parameters *parameters)
{
    const char *revision = "revision=";

    if (len == strlen("envelope") && strncmp(text, "envelope", len) == 0) {
        parameters->envelope = true;
        return true;
    }
    if (strncmp(text, revision, strlen(revision)) == 0) {
        char *end;
        errno = 0;
        unsigned long number = strtoul(text + strlen(revision), &end, 10);
        if (errno == 0 && end == text + len && len > strlen(revision) && number <= UINT32_MAX) {
            parameters->revision = (uint32_t)number;
            return true;
        }
    }
    return schema_fault(output,
                        "the parameter \"%.*s\" is not known: use --outpost_opt=envelope or "
                        "--outpost_opt=revision=N",
                        (int)len, text);
}

static bool read_parameters(struct output *output, const char *text, struct parameters *parameters)
{
    while (text != NULL && *text != '\0') {
        size_t len = strcspn(text, ",");
        if (!read_parameter(output, text, len, parameters))
            return false;
        text += len;
        text += strspn(text, ",");
    }
    return true;
}

/* False: output->error. */
static bool generate(const Plugin__Request *request, struct output *output)
{
    struct parameters parameters = {0};
    struct schema schema;

    if (!read_parameters(output, request->parameter, &parameters) ||
        !schema_read(request, output, &schema))
        return false;
    schema.tables.revision = parameters.revision;
    if (parameters.envelope && schema.tables.type_count == 0)
        return schema_fault(output, "no file names a record type: give the record types' files");
    if (parameters.envelope) {
        emit_envelope(output, &schema);
        return true;
    }
    if (schema.tables.type_count > 0)
        emit_tables(output, &schema);
    return emit_stubs(output, request);
}

static Plugin__Request *read_request(void)
{
    struct text bytes = {0};
    char part[16 * 1024];
    size_t len;
    Plugin__Request *request = NULL;

    while ((len = fread(part, 1, sizeof part, stdin)) > 0 && bytes.len < REQUEST_BYTES_MAX)
        text_add_bytes(&bytes, part, len);
    if (!ferror(stdin) && feof(stdin))
        request = plugin__request__unpack(NULL, bytes.len, (const uint8_t *)bytes.data);
    text_deinit(&bytes);
    return request;
}

static bool write_response(struct output *output)
{
    Plugin__Response response = PLUGIN__RESPONSE__INIT;
    Plugin__Response__File files[OUTPUT_FILES_MAX];
    Plugin__Response__File *pointers[OUTPUT_FILES_MAX];

    response.has_supported_features = true;
    response.supported_features = FEATURE_PROTO3_OPTIONAL;
    if (output->error.len > 0) {
        response.error = output->error.data;
    } else {
        for (size_t i = 0; i < output->file_count; i++) {
            plugin__response__file__init(&files[i]);
            files[i].name = output->files[i].name.data;
            files[i].content = output->files[i].content.data;
            pointers[i] = &files[i];
        }
        response.file = pointers;
        response.n_file = output->file_count;
    }

    size_t len = plugin__response__get_packed_size(&response);
    uint8_t *bytes = output_alloc(output, len, 1);
    plugin__response__pack(&response, bytes);
    return fwrite(bytes, 1, len, stdout) == len && fflush(stdout) == 0;
}

int main(void)
{
    struct output output = {0};
    Plugin__Request *request = read_request();

    if (request == NULL) {
        fputs("protoc-gen-outpost: standard input is no request of protoc; protoc starts this "
              "program: protoc --outpost_out=FOLDER FILE.proto ...\n",
              stderr);
        return EXIT_FAILURE;
    }
    generate(request, &output);
    bool written = write_response(&output);
    if (!written)
        perror("protoc-gen-outpost: cannot write the response to protoc");
    output_deinit(&output);
    plugin__request__free_unpacked(request, NULL);
    return written ? EXIT_SUCCESS : EXIT_FAILURE;
}
