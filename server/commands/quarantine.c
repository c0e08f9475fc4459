/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd quarantine: what could not be accepted. It is listed by names and
 * reasons; field values stay in the store (I10).
 */
#include "command.h"

static json_t *mutation_id_json(const struct record_mutation_id *id)
{
    char text[2 * RECORD_MUTATION_ID_LEN + 1];

    for (size_t i = 0; i < RECORD_MUTATION_ID_LEN; i++)
        snprintf(text + 2 * i, 3, "%02x", id->bytes[i]);
    return json_string(text);
}

static json_t *entry_json(const struct command *command, const struct store_quarantined *entry)
{
    struct record_mutation mutation;
    bool parsed = record_mutation_parse(entry->mutation, &mutation);
    const struct record_type *type =
        parsed ? record_type_by_number(command->roles.schema, mutation.key.type) : NULL;
    const struct record_field *field =
        type != NULL ? record_field_by_number(type, entry->field) : NULL;

    return json_pack(
        "{s:o,s:s,s:o?,s:o?,s:s,s:s?,s:o,s:I}", "mutation_id",
        mutation_id_json(&entry->mutation_id), "type", type != NULL ? type->table : "unknown",
        "family_id", parsed ? command_id_json(&mutation.key.family) : NULL, "id",
        parsed ? command_id_json(&mutation.key.id) : NULL, "reason",
        push_reason_text((enum push_reason)entry->reason), "field",
        field != NULL ? field->name : NULL, "device_id", command_id_json(&entry->device_id),
        "received_at_ms", (json_int_t)entry->received_at_ms);
}

static struct rpc_status list(struct command *command)
{
    json_t *entries = json_array();
    uint64_t offset = 0;
    struct rpc_status status;
    size_t count;

    json_object_set_new(command->result, "quarantined", entries);
    do {
        struct store_quarantine_list page = {.offset = offset};
        status = command_run(command, &page.request, STORE_QUARANTINE_LIST);
        count = rpc_ok(&status) ? page.entry_count : 0;
        for (size_t i = 0; i < count; i++)
            json_array_append_new(entries, entry_json(command, &page.entries[i]));
        arena_deinit(&page.arena);
        offset += count;
    } while (rpc_ok(&status) && count == STORE_LIST_ROWS_MAX);
    return status;
}

struct rpc_status command_quarantine(struct command *command)
{
    const char *verb = command_word(command, 0);

    if (verb != NULL && strcmp(verb, "list") == 0)
        return list(command);
    return command_usage("usage: outpostd quarantine list --data DIR");
}
