/* SPDX-License-Identifier: Apache-2.0 */
#include "compare.h"

#include <string.h>

typedef Google__Protobuf__EnumValueDescriptorProto value_proto;

static struct reserved reserved_of(struct comparison *comparison, const enum_proto *proto)
{
    struct reserved reserved = {.names = proto->reserved_name,
                                .name_count = proto->n_reserved_name,
                                .range_count = proto->n_reserved_range};

    reserved.ranges =
        output_alloc(comparison->output, reserved.range_count + 1, sizeof reserved.ranges[0]);
    for (size_t i = 0; i < reserved.range_count; i++)
        reserved.ranges[i] =
            (struct reserved_range){proto->reserved_range[i]->start, proto->reserved_range[i]->end};
    return reserved;
}

static const value_proto *value_named(const enum_proto *proto, const char *name)
{
    for (size_t i = 0; i < proto->n_value; i++)
        if (strcmp(proto->value[i]->name, name) == 0)
            return proto->value[i];
    return NULL;
}

static const value_proto *value_numbered(const enum_proto *proto, int32_t number)
{
    for (size_t i = 0; i < proto->n_value; i++)
        if (proto->value[i]->number == number)
            return proto->value[i];
    return NULL;
}

static void compare_value(struct comparison *comparison, struct finding_place place,
                          const enum_proto *now, const value_proto *before)
{
    const value_proto *named = value_named(now, before->name);
    const value_proto *numbered = value_numbered(now, before->number);

    place.member = before->name;
    if (named != NULL && named->number == before->number)
        return;
    if (named != NULL)
        finding_add(&comparison->findings, FINDING_ENUM_VALUE_NUMBER_CHANGED, &place,
                    "was %d and is %d", before->number, named->number);
    else if (numbered != NULL)
        finding_add(&comparison->findings, FINDING_ENUM_VALUE_RENAMED, &place,
                    "number %d is %s now", before->number, numbered->name);
    else
        finding_add(&comparison->findings, FINDING_ENUM_VALUE_REMOVED, &place, "number %d is gone",
                    before->number);
}

void compare_enum(struct comparison *comparison, const struct contract_enum *before,
                  const struct contract_enum *now)
{
    struct reserved were = reserved_of(comparison, before->proto);
    struct reserved are = reserved_of(comparison, now->proto);
    struct finding_place place = {now->file->name, "enum", now->name, NULL, NULL};

    compare_reserved(comparison, &place, &were, &are);
    place.member_kind = "value";
    for (size_t i = 0; i < before->proto->n_value; i++)
        compare_value(comparison, place, now->proto, before->proto->value[i]);
}
