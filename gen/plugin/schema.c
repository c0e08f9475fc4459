/* SPDX-License-Identifier: Apache-2.0
 *
 * From descriptors and annotations to record tables; see schema.h. The rules
 * between fields and types are in schema_check.c.
 */
#include "schema.h"

#include "annotations.h"

#include <stdio.h>
#include <stdlib.h>

typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;
typedef Google__Protobuf__FieldDescriptorProto field_proto;

enum {
    /* Field numbers, so type numbers too, that protobuf allows. */
    FIELD_NUMBER_MAX = (1 << 29) - 1,
    FIELD_NUMBER_RESERVED_FIRST = 19000,
    FIELD_NUMBER_RESERVED_LAST = 19999,
};

/* A record type while it is read: the rules name fields and tables that may
 * come later, so they are resolved when all are there. */
struct draft {
    struct schema_place place;
    struct record_type type;
    struct record_field *fields; /* those of type, still writable */
    Outpost__FieldRules **rules; /* of each field; NULL: none */
    const Outpost__RecordOptions *options;
};

struct reading {
    struct output *output;
    struct draft drafts[SCHEMA_TYPES_MAX];
    size_t draft_count;
};

/* ---- Faults -------------------------------------------------------------- */

bool schema_fault(struct output *output, const char *format, ...)
{
    va_list arguments;

    if (output->error.len > 0)
        return false;
    va_start(arguments, format);
    text_add_list(&output->error, format, arguments);
    va_end(arguments);
    return false;
}

bool schema_fault_at(struct output *output, struct schema_place place, const char *format, ...)
{
    va_list arguments;

    if (output->error.len > 0)
        return false;
    text_add(&output->error, "%s: message %s", place.file, place.message);
    if (place.field != NULL)
        text_add(&output->error, ", field %s", place.field);
    text_add(&output->error, ": ");
    va_start(arguments, format);
    text_add_list(&output->error, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- Annotations --------------------------------------------------------- */

static bool annotation_fault(struct output *output, struct schema_place place)
{
    return schema_fault_at(output, place,
                           "has an annotation that this generator does not know: build the "
                           "generator anew, with the outpost/options.proto in use");
}

static bool record_options(struct output *output, struct schema_place place,
                           const message_proto *message, Outpost__RecordOptions **options_out)
{
    return annotation_read_record(output, message, options_out) || annotation_fault(output, place);
}

static bool field_rules(struct output *output, struct schema_place place, const field_proto *field,
                        Outpost__FieldRules **rules_out)
{
    return annotation_read_field(output, field, rules_out) || annotation_fault(output, place);
}

/* ---- Fields -------------------------------------------------------------- */

static bool kind_of(const field_proto *field, enum record_kind *kind_out)
{
    switch (field->type) {
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_STRING:
        *kind_out = RECORD_KIND_STRING;
        return true;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BYTES:
        *kind_out = RECORD_KIND_BYTES;
        return true;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_ENUM:
        *kind_out = RECORD_KIND_ENUM;
        return true;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT32:
        *kind_out = RECORD_KIND_INT32;
        return true;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT64:
        *kind_out = RECORD_KIND_INT64;
        return true;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_UINT32:
        *kind_out = RECORD_KIND_UINT32;
        return true;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_UINT64:
        *kind_out = RECORD_KIND_UINT64;
        return true;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BOOL:
        *kind_out = RECORD_KIND_BOOL;
        return true;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_DOUBLE:
        *kind_out = RECORD_KIND_DOUBLE;
        return true;
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FLOAT:
        *kind_out = RECORD_KIND_FLOAT;
        return true;
    default:
        return false;
    }
}

/* Records are flat, so that they merge field by field and are a table's row. */
static bool check_shape(struct output *output, struct schema_place place, const field_proto *field)
{
    enum record_kind kind;

    if (field->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED)
        return schema_fault_at(output, place,
                               "is repeated or a map, and records are flat: make it a record type "
                               "of its own, as patient_phone is");
    if (field->has_proto3_optional && field->proto3_optional)
        return schema_fault_at(output, place,
                               "is optional, and in a record zero means \"not recorded\": leave "
                               "optional out");
    if (field->has_oneof_index)
        return schema_fault_at(output, place,
                               "is in a oneof, and records are flat: take it out, and use "
                               "exactly_one_of");
    if (field->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE ||
        field->type == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_GROUP)
        return schema_fault_at(output, place,
                               "is a message, and records are flat: give the record its fields, or "
                               "make it a record type of its own");
    if (!kind_of(field, &kind))
        return schema_fault_at(output, place,
                               "is of a sint, fixed or sfixed type, which records do not have: use "
                               "int32, int64, uint32 or uint64");
    return true;
}

static bool check_enumerator(struct output *output, struct schema_place place, const char *what,
                             int value, int last)
{
    if (value >= 0 && value <= last)
        return true;
    return schema_fault_at(output, place,
                           "%s is %d, which this generator does not know: build the generator "
                           "anew, with the outpost/options.proto in use",
                           what, value);
}

/* All of a field but what other fields and types decide. */
static bool read_field(struct reading *reading, struct schema_place place, const field_proto *proto,
                       struct record_field *field, const Outpost__FieldRules *rules)
{
    struct output *output = reading->output;
    const char *problem = name_sql_problem(proto->name);

    if (!check_shape(output, place, proto))
        return false;
    if (problem != NULL)
        return schema_fault_at(output, place, "the name %s", problem);
    *field = (struct record_field){
        .number = (uint32_t)proto->number,
        .name = output_string(output, "%s", proto->name),
        .group = (uint32_t)proto->number,
    };
    kind_of(proto, &field->kind);
    if (rules == NULL)
        return true;
    if (!check_enumerator(output, place, "format", (int)rules->format, RECORD_FORMAT_NOT_BLANK) ||
        !check_enumerator(output, place, "merge", (int)rules->merge, RECORD_MERGE_ONE_WAY) ||
        !check_enumerator(output, place, "fill", (int)rules->fill, RECORD_FILL_DEVICE_FACILITY))
        return false;
    field->format = (enum record_format)rules->format;
    field->merge = (enum record_merge_rule)rules->merge;
    field->fill = (enum record_fill)rules->fill;
    field->required = rules->required;
    field->not_future = rules->not_future;
    field->personal = rules->personal;
    field->scope = rules->scope;
    field->closing = rules->closing;
    field->min_length = rules->min_length;
    if (rules->range != NULL) {
        field->ranged = true;
        field->min = rules->range->min;
        field->max = rules->range->max;
    }
    return true;
}

/* ---- Names inside a type ------------------------------------------------- */

static bool find_field(struct reading *reading, struct schema_place place, const char *rule,
                       const struct record_type *type, const char *name, uint32_t *number_out)
{
    const struct record_field *field = record_field_by_name(type, name);

    if (field == NULL)
        return schema_fault_at(reading->output, place,
                               "%s names \"%s\", which is no field of %s: name one of its fields",
                               rule, name, type->name);
    *number_out = field->number;
    return true;
}

static bool resolve_exactly_one_of(struct reading *reading, struct draft *draft)
{
    const Outpost__RecordOptions *options = draft->options;
    uint32_t *numbers = output_alloc(reading->output, options->n_exactly_one_of, sizeof numbers[0]);

    for (size_t i = 0; i < options->n_exactly_one_of; i++)
        if (!find_field(reading, draft->place, "exactly_one_of", &draft->type,
                        options->exactly_one_of[i], &numbers[i]))
            return false;
    draft->type.exactly_one_of = numbers;
    draft->type.exactly_one_of_count = options->n_exactly_one_of;
    return true;
}

/* The group's number is that of its first field. */
static uint32_t group_number(const struct draft *draft, const char *group)
{
    size_t i = 0;

    while (draft->rules[i] == NULL || strcmp(draft->rules[i]->group, group) != 0)
        i++;
    return draft->fields[i].number;
}

/* A group of one is a name that was spelt in two ways. */
static bool check_group_size(struct reading *reading, struct schema_place place,
                             const struct draft *draft, const char *group)
{
    size_t size = 0;

    for (size_t i = 0; i < draft->type.field_count; i++)
        size += draft->rules[i] != NULL && strcmp(draft->rules[i]->group, group) == 0;
    if (size > 1)
        return true;
    return schema_fault_at(reading->output, place,
                           "is alone in the group \"%s\": name the same group on the fields that "
                           "belong together, or take group away",
                           group);
}

static bool resolve_fields(struct reading *reading, struct draft *draft)
{
    for (size_t i = 0; i < draft->type.field_count; i++) {
        struct record_field *field = &draft->fields[i];
        const Outpost__FieldRules *rules = draft->rules[i];
        struct schema_place place = draft->place;
        place.field = field->name;
        if (rules == NULL)
            continue;
        if (rules->not_below[0] != '\0' && !find_field(reading, place, "not_below", &draft->type,
                                                       rules->not_below, &field->not_below))
            return false;
        if (rules->together_with[0] != '\0' &&
            !find_field(reading, place, "together_with", &draft->type, rules->together_with,
                        &field->together_with))
            return false;
        if (rules->group[0] == '\0')
            continue;
        if (!check_group_size(reading, place, draft, rules->group))
            return false;
        field->group = group_number(draft, rules->group);
    }
    return true;
}

/* ---- Types --------------------------------------------------------------- */

static int compare_fields(const void *a, const void *b)
{
    const field_proto *const *left = a;
    const field_proto *const *right = b;

    return (*left)->number - (*right)->number;
}

static bool read_fields(struct reading *reading, struct draft *draft, const message_proto *message)
{
    struct output *output = reading->output;
    size_t count = message->n_field;
    const field_proto **protos = output_alloc(output, count, sizeof protos[0]);

    if (count > SCHEMA_FIELDS_MAX)
        return schema_fault_at(output, draft->place,
                               "has %zu fields, and a record has at most %d: make a part of it a "
                               "record type of its own",
                               count, SCHEMA_FIELDS_MAX);
    for (size_t i = 0; i < count; i++)
        protos[i] = message->field[i];
    if (count > 0)
        qsort(protos, count, sizeof protos[0], compare_fields);

    draft->fields = output_alloc(output, count, sizeof draft->fields[0]);
    draft->rules = output_alloc(output, count, sizeof draft->rules[0]);
    for (size_t i = 0; i < count; i++) {
        struct schema_place place = draft->place;
        place.field = protos[i]->name;
        if (!field_rules(output, place, protos[i], &draft->rules[i]) ||
            !read_field(reading, place, protos[i], &draft->fields[i], draft->rules[i]))
            return false;
    }
    draft->type.fields = draft->fields;
    draft->type.field_count = count;
    return true;
}

static bool check_type_number(struct output *output, struct schema_place place, uint32_t number)
{
    if (number < RECORD_TYPE_MIN)
        return schema_fault_at(output, place,
                               "type is %u, and smaller numbers than %d are the envelope's own: "
                               "give it a free number from %d on",
                               number, RECORD_TYPE_MIN, RECORD_TYPE_MIN);
    if (number > FIELD_NUMBER_MAX ||
        (number >= FIELD_NUMBER_RESERVED_FIRST && number <= FIELD_NUMBER_RESERVED_LAST))
        return schema_fault_at(output, place,
                               "type is %u, which protobuf does not allow as a field number: give "
                               "it a free number between %d and %d",
                               number, RECORD_TYPE_MIN, FIELD_NUMBER_RESERVED_FIRST - 1);
    return true;
}

static bool check_table(struct output *output, struct schema_place place, const char *table)
{
    /* The fields of Record and Mutation, beside which the table's name stands. */
    static const char *const envelope[] = {"family_id", "id",         "version",
                                           "deleted",   "body",       "base_version",
                                           "fields",    "base_stamp", "recovered_version"};
    const char *problem = name_sql_problem(table);

    if (table[0] == '\0')
        return schema_fault_at(output, place,
                               "has no table: name the device's SQL table in the record option");
    if (problem != NULL)
        return schema_fault_at(output, place, "the table's name \"%s\" %s", table, problem);
    for (size_t i = 0; i < sizeof envelope / sizeof envelope[0]; i++)
        if (strcmp(table, envelope[i]) == 0)
            return schema_fault_at(output, place,
                                   "the table's name \"%s\" is that of a field of the envelope: "
                                   "choose another name",
                                   table);
    return true;
}

static bool read_type(struct reading *reading, struct schema_place place,
                      const message_proto *message, const Outpost__RecordOptions *options)
{
    struct output *output = reading->output;

    if (reading->draft_count == SCHEMA_TYPES_MAX)
        return schema_fault_at(output, place, "is one record type more than the %d that fit",
                               SCHEMA_TYPES_MAX);
    struct draft *draft = &reading->drafts[reading->draft_count++];
    *draft = (struct draft){
        .place = place,
        .options = options,
        .type = {.number = options->type,
                 .name = output_string(output, "%s", message->name),
                 .table = options->table},
    };
    if (!check_type_number(output, place, options->type) ||
        !check_table(output, place, options->table) ||
        !check_enumerator(output, place, "family", (int)options->family, RECORD_FAMILY_MEMBER))
        return false;
    if (options->family == OUTPOST__FAMILY__FAMILY_UNSPECIFIED)
        return schema_fault_at(output, place,
                               "has no family: set FAMILY_GLOBAL, FAMILY_ROOT or FAMILY_MEMBER in "
                               "the record option");
    draft->type.family = (enum record_family)options->family;
    return read_fields(reading, draft, message) && resolve_exactly_one_of(reading, draft) &&
           resolve_fields(reading, draft) && schema_check_type(output, place, &draft->type);
}

/* ---- Messages ------------------------------------------------------------ */

/* Messages that are no record types carry no annotations, at any depth. */
static bool check_plain(struct reading *reading, struct schema_place place,
                        const message_proto *message, bool nested)
{
    Outpost__RecordOptions *options;
    Outpost__FieldRules *rules;

    if (!record_options(reading->output, place, message, &options))
        return false;
    if (nested && options != NULL)
        return schema_fault_at(reading->output, place,
                               "is a record type inside another message: move it to the top level");
    for (size_t i = 0; i < message->n_field; i++) {
        struct schema_place field = place;
        field.field = message->field[i]->name;
        if (!field_rules(reading->output, field, message->field[i], &rules))
            return false;
        if (rules != NULL)
            return schema_fault_at(reading->output, field,
                                   "has outpost.field rules, but %s is no record type: give the "
                                   "message the record option, or take the rules away",
                                   place.message);
    }
    for (size_t i = 0; i < message->n_nested_type; i++) {
        struct schema_place inner = place;
        inner.message = message->nested_type[i]->name;
        if (!check_plain(reading, inner, message->nested_type[i], true))
            return false;
    }
    return true;
}

static bool read_message(struct reading *reading, const file_proto *file,
                         const message_proto *message)
{
    struct schema_place place = {.file = file->name, .message = message->name};
    Outpost__RecordOptions *options;

    if (!record_options(reading->output, place, message, &options))
        return false;
    if (options == NULL)
        return check_plain(reading, place, message, false);
    if (file->syntax == NULL || strcmp(file->syntax, "proto3") != 0)
        return schema_fault_at(reading->output, place,
                               "is a record type in a proto2 file: write syntax = \"proto3\"");
    if (!read_type(reading, place, message, options))
        return false;
    for (size_t i = 0; i < message->n_nested_type; i++) {
        struct schema_place inner = place;
        inner.message = message->nested_type[i]->name;
        if (!check_plain(reading, inner, message->nested_type[i], true))
            return false;
    }
    return true;
}

/* ---- The schema ---------------------------------------------------------- */

static int compare_drafts(const void *a, const void *b)
{
    const struct draft *left = a;
    const struct draft *right = b;

    if (left->type.number != right->type.number)
        return left->type.number < right->type.number ? -1 : 1;
    return strcmp(left->place.file, right->place.file);
}

static bool check_unique(struct reading *reading)
{
    for (size_t i = 0; i < reading->draft_count; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct draft *first = &reading->drafts[j];
            const struct draft *second = &reading->drafts[i];
            if (first->type.number == second->type.number)
                return schema_fault_at(reading->output, second->place,
                                       "type %u is that of %s (%s) already: give it a free number",
                                       second->type.number, first->type.name, first->place.file);
            if (strcmp(first->type.table, second->type.table) == 0)
                return schema_fault_at(reading->output, second->place,
                                       "table \"%s\" is that of %s (%s) already: choose another "
                                       "name",
                                       second->type.table, first->type.name, first->place.file);
        }
    }
    return true;
}

static bool check_root(struct reading *reading)
{
    const struct draft *root = NULL;

    for (size_t i = 0; i < reading->draft_count; i++) {
        const struct draft *draft = &reading->drafts[i];
        if (draft->type.family != RECORD_FAMILY_ROOT)
            continue;
        if (root != NULL)
            return schema_fault_at(reading->output, draft->place,
                                   "is a second root, %s (%s) is the first, and a package has one: "
                                   "make it FAMILY_MEMBER or FAMILY_GLOBAL",
                                   root->type.name, root->place.file);
        root = draft;
    }
    if (root == NULL)
        return schema_fault_at(reading->output, reading->drafts[0].place,
                               "no record type of the package is the families' root: make one "
                               "FAMILY_ROOT, and name all files of the package in one run");
    return true;
}

/* A member's row has the root's id in a column of its own. */
static bool check_parent_column(struct reading *reading, const struct record_schema *tables)
{
    const char *column = output_string(reading->output, "%s_id", record_root_type(tables)->table);

    for (size_t i = 0; i < reading->draft_count; i++) {
        struct schema_place place = reading->drafts[i].place;
        place.field = column;
        if (record_field_by_name(&reading->drafts[i].type, column) != NULL)
            return schema_fault_at(reading->output, place,
                                   "is the column of the family's id, which the envelope carries: "
                                   "choose another name");
    }
    return true;
}

static bool resolve_references(struct reading *reading, const struct record_schema *tables)
{
    for (size_t i = 0; i < reading->draft_count; i++) {
        struct draft *draft = &reading->drafts[i];
        for (size_t j = 0; j < draft->type.field_count; j++) {
            const Outpost__FieldRules *rules = draft->rules[j];
            struct schema_place place = draft->place;
            place.field = draft->fields[j].name;
            if (rules != NULL && rules->reference[0] != '\0') {
                const struct record_type *type = record_type_by_table(tables, rules->reference);
                if (type == NULL)
                    return schema_fault_at(reading->output, place,
                                           "reference names \"%s\", which is no record type's "
                                           "table: name a table of this package",
                                           rules->reference);
                draft->fields[j].reference = type->number;
            }
            if (!schema_check_field(reading->output, place, &draft->fields[j]))
                return false;
        }
    }
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The schema out of the drafts, which are sorted by type number. */
static void take_drafts(struct reading *reading, struct schema *schema)
{
    struct record_type *types =
        output_alloc(reading->output, reading->draft_count, sizeof types[0]);

    for (size_t i = 0; i < reading->draft_count; i++) {
        const char *file = reading->drafts[i].place.file;
        bool known = false;
        types[i] = reading->drafts[i].type;
        for (size_t j = 0; j < schema->file_count; j++)
            known = known || strcmp(schema->files[j], file) == 0;
        if (!known)
            schema->files[schema->file_count++] = file;
    }
    qsort(schema->files, schema->file_count, sizeof schema->files[0], compare_names);
    schema->tables.types = types;
    schema->tables.type_count = reading->draft_count;
}

const file_proto *schema_file(const Plugin__Request *request, const char *name)
{
    for (size_t i = 0; i < request->n_proto_file; i++)
        if (strcmp(request->proto_file[i]->name, name) == 0)
            return request->proto_file[i];
    return NULL;
}

static bool read_files(struct reading *reading, const Plugin__Request *request,
                       struct schema *schema)
{
    for (size_t i = 0; i < request->n_file_to_generate; i++) {
        const file_proto *file = schema_file(request, request->file_to_generate[i]);
        if (file == NULL || file->package == NULL || file->package[0] == '\0')
            return schema_fault(reading->output, "%s: has no package: give it one",
                                request->file_to_generate[i]);
        if (schema->package == NULL)
            schema->package = file->package;
        if (strcmp(schema->package, file->package) != 0)
            return schema_fault(reading->output,
                                "%s: is of package %s, and the files before it are of %s: run the "
                                "generator once for each package",
                                file->name, file->package, schema->package);
        for (size_t j = 0; j < file->n_message_type; j++)
            if (!read_message(reading, file, file->message_type[j]))
                return false;
    }
    return true;
}

bool schema_read(const Plugin__Request *request, struct output *output, struct schema *schema_out)
{
    struct reading *reading = output_alloc(output, 1, sizeof *reading);
    struct schema schema = {0};

    reading->output = output;
    if (!read_files(reading, request, &schema))
        return false;
    if (reading->draft_count > 0) {
        qsort(reading->drafts, reading->draft_count, sizeof reading->drafts[0], compare_drafts);
        if (!check_unique(reading) || !check_root(reading))
            return false;
        take_drafts(reading, &schema);
        if (!check_parent_column(reading, &schema.tables) ||
            !resolve_references(reading, &schema.tables))
            return false;
    }
    *schema_out = schema;
    return true;
}
