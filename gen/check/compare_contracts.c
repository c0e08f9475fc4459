/* SPDX-License-Identifier: Apache-2.0 */
#include "compare.h"

#include <string.h>

/* ---- Reserved numbers and names ------------------------------------------- */

bool reserved_has_number(const struct reserved *reserved, int64_t number)
{
    for (size_t i = 0; i < reserved->range_count; i++)
        if (reserved->ranges[i].first <= number && number <= reserved->ranges[i].last)
            return true;
    return false;
}

bool reserved_has_name(const struct reserved *reserved, const char *name)
{
    for (size_t i = 0; i < reserved->name_count; i++)
        if (strcmp(reserved->names[i], name) == 0)
            return true;
    return false;
}

/* The first number of the range that is not reserved; past its end: none. Ranges of
 * one declaration do not overlap, so each round gets past one of them. */
static int64_t first_free(const struct reserved *reserved, const struct reserved_range *range)
{
    int64_t number = range->first;

    for (size_t round = 0; round <= reserved->range_count; round++)
        for (size_t i = 0; i < reserved->range_count; i++)
            if (reserved->ranges[i].first <= number && number <= reserved->ranges[i].last)
                number = reserved->ranges[i].last + 1;
    return number;
}

void compare_reserved(struct comparison *comparison, const struct finding_place *place,
                      const struct reserved *before, const struct reserved *now)
{
    for (size_t i = 0; i < before->range_count; i++) {
        int64_t number = first_free(now, &before->ranges[i]);
        if (number <= before->ranges[i].last)
            finding_add(&comparison->findings, FINDING_RESERVED_NUMBER_FREED, place,
                        "number %lld is not reserved any more", (long long)number);
    }
    for (size_t i = 0; i < before->name_count; i++)
        if (!reserved_has_name(now, before->names[i]))
            finding_add(&comparison->findings, FINDING_RESERVED_NAME_FREED, place,
                        "the name \"%s\" is not reserved any more", before->names[i]);
}

/* ---- Services --------------------------------------------------------------- */

static void compare_rpc(struct comparison *comparison, struct finding_place place,
                        const Google__Protobuf__MethodDescriptorProto *before,
                        const Google__Protobuf__MethodDescriptorProto *now)
{
    struct findings *findings = &comparison->findings;

    if (strcmp(before->input_type, now->input_type) != 0)
        finding_add(findings, FINDING_RPC_REQUEST_CHANGED, &place, "took %s and takes %s",
                    before->input_type + 1, now->input_type + 1);
    if (strcmp(before->output_type, now->output_type) != 0)
        finding_add(findings, FINDING_RPC_RESPONSE_CHANGED, &place, "gave %s and gives %s",
                    before->output_type + 1, now->output_type + 1);
    if (before->client_streaming != now->client_streaming)
        finding_add(findings, FINDING_RPC_STREAMING_CHANGED, &place, "requests %s a stream",
                    now->client_streaming ? "are now" : "are no longer");
    if (before->server_streaming != now->server_streaming)
        finding_add(findings, FINDING_RPC_STREAMING_CHANGED, &place, "responses %s a stream",
                    now->server_streaming ? "are now" : "are no longer");
}

static void compare_service(struct comparison *comparison, const struct contract_service *before,
                            const struct contract_service *now)
{
    struct finding_place place = {now->file->name, "service", now->name, "rpc", NULL};

    for (size_t i = 0; i < before->proto->n_method; i++) {
        const Google__Protobuf__MethodDescriptorProto *found = NULL;
        place.member = before->proto->method[i]->name;
        for (size_t j = 0; j < now->proto->n_method && found == NULL; j++)
            if (strcmp(now->proto->method[j]->name, place.member) == 0)
                found = now->proto->method[j];
        if (found == NULL)
            finding_add(&comparison->findings, FINDING_RPC_REMOVED, &place, "is gone");
        else
            compare_rpc(comparison, place, before->proto->method[i], found);
    }
}

/* ---- Files ------------------------------------------------------------------ */

static const char *package_of(const file_proto *file)
{
    return file->package != NULL ? file->package : "";
}

static const char *syntax_of(const file_proto *file)
{
    return file->syntax != NULL ? file->syntax : "proto2";
}

static void compare_packages(struct comparison *comparison)
{
    const Google__Protobuf__FileDescriptorSet *set = comparison->before->set;

    for (size_t i = 0; i < set->n_file; i++) {
        struct finding_place place = {.file = set->file[i]->name};
        bool told = contract_is_foreign(set->file[i]) ||
                    contract_has_package(comparison->now, package_of(set->file[i]));
        for (size_t j = 0; j < i && !told; j++)
            told = strcmp(package_of(set->file[i]), package_of(set->file[j])) == 0;
        if (!told)
            finding_add(&comparison->findings, FINDING_PACKAGE_REMOVED, &place,
                        "package %s is gone", package_of(set->file[i]));
    }
}

static void compare_syntax(struct comparison *comparison)
{
    const Google__Protobuf__FileDescriptorSet *before = comparison->before->set;
    const Google__Protobuf__FileDescriptorSet *now = comparison->now->set;

    for (size_t i = 0; i < before->n_file; i++)
        for (size_t j = 0; j < now->n_file; j++)
            if (strcmp(before->file[i]->name, now->file[j]->name) == 0 &&
                strcmp(syntax_of(before->file[i]), syntax_of(now->file[j])) != 0)
                finding_add(&comparison->findings, FINDING_SYNTAX_CHANGED,
                            &(struct finding_place){.file = now->file[j]->name}, "was %s and is %s",
                            syntax_of(before->file[i]), syntax_of(now->file[j]));
}

/* ---- Everything ------------------------------------------------------------- */

static void compare_messages(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->before->message_count; i++) {
        const struct contract_message *before = &comparison->before->messages[i];
        const struct contract_message *now = contract_message(comparison->now, before->name);
        struct finding_place place = {before->file->name, "message", before->name, NULL, NULL};
        if (now == NULL) {
            finding_add(&comparison->findings, FINDING_MESSAGE_REMOVED, &place, "is gone");
            continue;
        }
        compare_message(comparison, before, now);
        compare_record(comparison, before, now);
    }
    for (size_t i = 0; i < comparison->now->message_count; i++)
        if (contract_message(comparison->before, comparison->now->messages[i].name) == NULL)
            compare_record_number(comparison, &comparison->now->messages[i]);
}

static void compare_enums(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->before->enum_count; i++) {
        const struct contract_enum *before = &comparison->before->enums[i];
        const struct contract_enum *now = contract_enum(comparison->now, before->name);
        struct finding_place place = {before->file->name, "enum", before->name, NULL, NULL};
        if (now == NULL)
            finding_add(&comparison->findings, FINDING_ENUM_REMOVED, &place, "is gone");
        else
            compare_enum(comparison, before, now);
    }
}

static void compare_services(struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->before->service_count; i++) {
        const struct contract_service *before = &comparison->before->services[i];
        const struct contract_service *now = contract_service(comparison->now, before->name);
        struct finding_place place = {before->file->name, "service", before->name, NULL, NULL};
        if (now == NULL)
            finding_add(&comparison->findings, FINDING_SERVICE_REMOVED, &place, "is gone");
        else
            compare_service(comparison, before, now);
    }
}

void compare_contracts(struct comparison *comparison)
{
    compare_packages(comparison);
    compare_syntax(comparison);
    compare_messages(comparison);
    compare_enums(comparison);
    compare_services(comparison);
}
