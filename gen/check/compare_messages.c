/* SPDX-License-Identifier: Apache-2.0 */
#include "compare.h"

#include <string.h>

const field_proto *message_field(const message_proto *message, int32_t number)
{
    for (size_t i = 0; i < message->n_field; i++)
        if (message->field[i]->number == number)
            return message->field[i];
    return NULL;
}

const field_proto *message_field_named(const message_proto *message, const char *name)
{
    for (size_t i = 0; i < message->n_field; i++)
        if (strcmp(message->field[i]->name, name) == 0)
            return message->field[i];
    return NULL;
}

static struct reserved reserved_of(struct comparison *comparison, const message_proto *proto)
{
    struct reserved reserved = {.names = proto->reserved_name,
                                .name_count = proto->n_reserved_name,
                                .range_count = proto->n_reserved_range};

    reserved.ranges =
        output_alloc(comparison->output, reserved.range_count + 1, sizeof reserved.ranges[0]);
    for (size_t i = 0; i < reserved.range_count; i++)
        reserved.ranges[i] = (struct reserved_range){proto->reserved_range[i]->start,
                                                     proto->reserved_range[i]->end - 1};
    return reserved;
}

static bool is_optional(const field_proto *field)
{
    return field->has_proto3_optional && field->proto3_optional;
}

/* "" for a field of none; the one that protoc makes up for `optional` is none. */
static const char *oneof_of(const message_proto *message, const field_proto *field)
{
    return field->has_oneof_index && !is_optional(field)
               ? message->oneof_decl[field->oneof_index]->name
               : "";
}

static bool is_oneof_made_up(const message_proto *message, size_t index)
{
    for (size_t i = 0; i < message->n_field; i++)
        if (message->field[i]->has_oneof_index && (size_t)message->field[i]->oneof_index == index &&
            is_optional(message->field[i]))
            return true;
    return false;
}

static const char *type_of(const field_proto *field)
{
    static const char *const names[] = {"",         "double",   "float",   "int64",  "uint64",
                                        "int32",    "fixed64",  "fixed32", "bool",   "string",
                                        "group",    "message",  "bytes",   "uint32", "enum",
                                        "sfixed32", "sfixed64", "sint32",  "sint64"};
    size_t type = (size_t)field->type;

    return type < sizeof names / sizeof names[0] ? names[type] : "unknown";
}

static const char *label_of(const field_proto *field)
{
    switch (field->label) {
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED:
        return "repeated";
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REQUIRED:
        return "required";
    default:
        return "single";
    }
}

static const char *type_name_of(const field_proto *field)
{
    return field->type_name != NULL ? field->type_name + 1 : "";
}

/* Both have the number. A field of another name and type, or whose name lives on under
 * another number, is another field that took the number. */
static bool is_reused(const message_proto *now, const field_proto *before, const field_proto *field)
{
    return strcmp(before->name, field->name) != 0 &&
           (before->type != field->type || message_field_named(now, before->name) != NULL);
}

static void compare_shape(struct comparison *comparison, const struct finding_place *place,
                          const struct contract_message *messages[2], const field_proto *before,
                          const field_proto *field)
{
    struct findings *findings = &comparison->findings;
    const char *oneofs[2] = {oneof_of(messages[0]->proto, before),
                             oneof_of(messages[1]->proto, field)};

    if (before->type != field->type)
        finding_add(findings, FINDING_FIELD_TYPE_CHANGED, place, "was %s and is %s",
                    type_of(before), type_of(field));
    else if (strcmp(type_name_of(before), type_name_of(field)) != 0)
        finding_add(findings, FINDING_FIELD_MESSAGE_CHANGED, place, "was %s and is %s",
                    type_name_of(before), type_name_of(field));
    if (before->label != field->label)
        finding_add(findings, FINDING_FIELD_CARDINALITY_CHANGED, place, "was %s and is %s",
                    label_of(before), label_of(field));
    if (is_optional(before) != is_optional(field))
        finding_add(findings, FINDING_FIELD_PRESENCE_CHANGED, place, "is %s optional",
                    is_optional(field) ? "now" : "no longer");
    if (strcmp(oneofs[0], oneofs[1]) != 0)
        finding_add(findings, FINDING_FIELD_ONEOF_CHANGED, place, "was in %s%s and is in %s%s",
                    oneofs[0][0] != '\0' ? "the oneof " : "no oneof", oneofs[0],
                    oneofs[1][0] != '\0' ? "the oneof " : "none", oneofs[1]);
}

static void compare_field(struct comparison *comparison, struct finding_place place,
                          const struct contract_message *messages[2], const field_proto *before,
                          const field_proto *field)
{
    struct findings *findings = &comparison->findings;

    place.member = before->name;
    if (is_reused(messages[1]->proto, before, field)) {
        finding_add(findings, FINDING_FIELD_NUMBER_REUSED, &place, "number %d is field %s now",
                    before->number, field->name);
        return;
    }
    if (strcmp(before->name, field->name) != 0)
        finding_add(findings, FINDING_FIELD_RENAMED, &place, "number %d is called %s now",
                    before->number, field->name);
    else if (before->json_name != NULL && field->json_name != NULL &&
             strcmp(before->json_name, field->json_name) != 0)
        finding_add(findings, FINDING_FIELD_JSON_NAME_CHANGED, &place,
                    "was \"%s\" in JSON and is \"%s\"", before->json_name, field->json_name);
    compare_shape(comparison, &place, messages, before, field);
}

/* Its number is no field's any more. */
static void compare_removed(struct comparison *comparison, struct finding_place place,
                            const message_proto *now, const struct reserved *reserved,
                            const field_proto *before)
{
    struct findings *findings = &comparison->findings;
    const field_proto *named = message_field_named(now, before->name);

    place.member = before->name;
    if (named != NULL) {
        finding_add(findings, FINDING_FIELD_NUMBER_CHANGED, &place, "was %d and is %d",
                    before->number, named->number);
        return;
    }
    if (!reserved_has_number(reserved, before->number))
        finding_add(findings, FINDING_FIELD_REMOVED_NUMBER_FREE, &place,
                    "is gone, and its number %d is free", before->number);
    if (!reserved_has_name(reserved, before->name))
        finding_add(findings, FINDING_FIELD_REMOVED_NAME_FREE, &place,
                    "is gone, and its name is free");
}

static void compare_oneofs(struct comparison *comparison, struct finding_place place,
                           const message_proto *before, const message_proto *now)
{
    place.member_kind = "oneof";
    for (size_t i = 0; i < before->n_oneof_decl; i++) {
        bool found = is_oneof_made_up(before, i);
        place.member = before->oneof_decl[i]->name;
        for (size_t j = 0; j < now->n_oneof_decl && !found; j++)
            found = strcmp(now->oneof_decl[j]->name, place.member) == 0;
        if (!found)
            finding_add(&comparison->findings, FINDING_ONEOF_REMOVED, &place, "is gone");
    }
}

void compare_message(struct comparison *comparison, const struct contract_message *before,
                     const struct contract_message *now)
{
    const struct contract_message *messages[2] = {before, now};
    struct reserved were = reserved_of(comparison, before->proto);
    struct reserved are = reserved_of(comparison, now->proto);
    struct finding_place place = {now->file->name, "message", now->name, NULL, NULL};

    compare_reserved(comparison, &place, &were, &are);
    compare_oneofs(comparison, place, before->proto, now->proto);
    place.member_kind = "field";
    for (size_t i = 0; i < before->proto->n_field; i++) {
        const field_proto *field = message_field(now->proto, before->proto->field[i]->number);
        if (field == NULL)
            compare_removed(comparison, place, now->proto, &are, before->proto->field[i]);
        else
            compare_field(comparison, place, messages, before->proto->field[i], field);
    }
}
