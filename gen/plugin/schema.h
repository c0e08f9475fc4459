/* SPDX-License-Identifier: Apache-2.0
 *
 * The record types of a package, as the .proto files give them.
 *
 * Reading builds the very tables that are to be written (struct record_schema
 * of outpost/record.h), and refuses what a record cannot be: whoever adds a
 * record type learns here, not from a device in the field. An error is one line
 * that names file, message and field and says what to do.
 */
#ifndef OUTPOST_PLUGIN_SCHEMA_H
#define OUTPOST_PLUGIN_SCHEMA_H

#include "names.h"
#include "outpost/record.h"
#include "plugin.pb-c.h"

enum {
    /* Fields of one record type: half of what a stored record may have, so that
     * there is room for the fields of later versions (RECORD_FIELDS_MAX). */
    SCHEMA_FIELDS_MAX = 64,
    /* Record types of a package: protects the root's delete trigger and every
     * loop over types from a schema made by accident. */
    SCHEMA_TYPES_MAX = 64,
};

struct schema {
    const char *package;
    /* The files that define record types, by name. */
    const char *files[SCHEMA_TYPES_MAX];
    size_t file_count;
    struct record_schema tables; /* no types: the files define no record type */
};

/* Reads the record types of request->file_to_generate. False: output->error. */
bool schema_read(const Plugin__Request *request, struct output *output, struct schema *schema_out);

/* The file of that name in the request; NULL: none. */
const Google__Protobuf__FileDescriptorProto *schema_file(const Plugin__Request *request,
                                                         const char *name);

/* Sets output->error unless one is set; always false. */
bool schema_fault(struct output *output, const char *format, ...) TEXT_PRINTF(2, 3);

/* schema_check.c: the rules between fields and types. False: output->error. */
struct schema_place {
    const char *file;
    const char *message;
    const char *field; /* NULL: the message itself */
};

bool schema_fault_at(struct output *output, struct schema_place place, const char *format, ...)
    TEXT_PRINTF(3, 4);

bool schema_kind_is_number(enum record_kind kind);

/* Whether the rules of one field fit its kind. */
bool schema_check_field(struct output *output, struct schema_place place,
                        const struct record_field *field);
/* Whether the fields of one type fit together. */
bool schema_check_type(struct output *output, struct schema_place place,
                       const struct record_type *type);

#endif
