/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd quarantine: what could not be accepted. It is listed by names and
 * reasons; field values are shown by `show` alone, which is asked to (I10).
 */
#include "mutation_word.h"
#include "record_json.h"

static const char usage[] = "usage: outpostd quarantine list [--all] | show ID | retry ID |"
                            " discard ID [--purge]   --data DIR";

static json_t *entry_json(const struct command *command, const struct store_quarantined *entry)
{
    struct record_mutation mutation;
    bool parsed = record_mutation_parse(entry->mutation, &mutation);
    const struct record_type *type =
        parsed ? record_type_by_number(command->roles.schema, mutation.key.type) : NULL;
    const struct record_field *field =
        type != NULL ? record_field_by_number(type, entry->field) : NULL;
    json_t *row = json_pack(
        "{s:o,s:o,s:s,s:o?,s:o?,s:s,s:s?,s:o,s:I}", "mutation_id",
        mutation_word_json(&entry->mutation_id), "region_id", command_id_json(&entry->region_id),
        "type", type != NULL ? type->table : "unknown", "family_id",
        parsed ? command_id_json(&mutation.key.family) : NULL, "id",
        parsed ? command_id_json(&mutation.key.id) : NULL, "reason",
        push_reason_text((enum push_reason)entry->reason), "field",
        field != NULL ? field->name : NULL, "device_id", command_id_json(&entry->device_id),
        "received_at_ms", (json_int_t)entry->received_at_ms);

    mutation_word_add_closed(row, "discarded", &entry->discarded);
    return row;
}

static struct rpc_status list(struct command *command)
{
    json_t *entries = json_array();
    uint64_t offset = 0;
    struct rpc_status status;
    size_t count;

    json_object_set_new(command->result, "quarantined", entries);
    do {
        struct store_quarantine_list page = {.range = mutation_word_all(command), .offset = offset};
        status = command_run(command, &page.request, STORE_QUARANTINE_LIST);
        count = rpc_ok(&status) ? page.entry_count : 0;
        for (size_t i = 0; i < count; i++)
            json_array_append_new(entries, entry_json(command, &page.entries[i]));
        arena_deinit(&page.arena);
        offset += count;
    } while (rpc_ok(&status) && count == STORE_LIST_ROWS_MAX);
    return status;
}

/* Finds the entry that the second word names; found->arena is the caller's. */
static struct rpc_status find(struct command *command, struct store_quarantine_list *found)
{
    struct mutation_word word;
    struct rpc_status status = mutation_word_take(command, &word);

    *found = (struct store_quarantine_list){.range = word.range};
    if (!rpc_ok(&status))
        return status;
    status = command_run(command, &found->request, STORE_QUARANTINE_LIST);
    return rpc_ok(&status) ? mutation_word_unique(command, "quarantine", found->entry_count)
                           : status;
}

static struct rpc_status show(struct command *command, const struct store_quarantined *entry)
{
    struct record_mutation mutation;

    json_decref(command->result);
    command->result = entry_json(command, entry);
    if (!record_mutation_parse(entry->mutation, &mutation))
        return rpc_status_ok();
    json_object_set_new(command->result, "base_version",
                        json_integer((json_int_t)mutation.base_version));
    json_object_set_new(command->result, "delete", json_boolean(mutation.deletes));
    json_object_set_new(
        command->result, "changes",
        record_json_changes(record_type_by_number(command->roles.schema, mutation.key.type),
                            &mutation));
    return rpc_status_ok();
}

static const char *field_name(const struct command *command, const struct store_quarantined *entry,
                              uint32_t number)
{
    struct record_mutation mutation;
    const struct record_type *type =
        record_mutation_parse(entry->mutation, &mutation)
            ? record_type_by_number(command->roles.schema, mutation.key.type)
            : NULL;
    const struct record_field *field = type != NULL ? record_field_by_number(type, number) : NULL;

    return field != NULL ? field->name : NULL;
}

/* R17: refused again, nothing changes and the reason is told. */
static struct rpc_status retry(struct command *command, const struct store_quarantined *entry)
{
    struct store_quarantine_retry retry = {
        .review = mutation_word_review(&entry->region_id, &entry->mutation_id)};
    struct rpc_status status = command_run(command, &retry.request, STORE_QUARANTINE_RETRY);

    if (!rpc_ok(&status))
        return status;
    if (!retry.found)
        return rpc_status_make(RPC_NOT_FOUND, "%s cannot be retried: its bytes are gone",
                               command_word(command, 1));
    if (retry.outcome.status == PUSH_QUARANTINED || retry.outcome.status == PUSH_RETRY) {
        const char *field = field_name(command, entry, retry.outcome.field);
        return rpc_status_make(RPC_FAILED_PRECONDITION, "%s is refused again: %s%s%s",
                               command_word(command, 1), field != NULL ? field : "",
                               field != NULL ? ": " : "", push_reason_text(retry.outcome.reason));
    }
    json_object_set_new(command->result, "mutation_id", mutation_word_json(&entry->mutation_id));
    json_object_set_new(command->result, "status",
                        json_string(push_status_text(retry.outcome.status)));
    return status;
}

static struct rpc_status discard(struct command *command, const struct store_quarantined *entry)
{
    struct store_quarantine_discard discard = {
        .review = mutation_word_review(&entry->region_id, &entry->mutation_id),
        .purge = command->line->purge,
    };
    struct rpc_status status = command_run(command, &discard.request, STORE_QUARANTINE_DISCARD);

    if (!rpc_ok(&status))
        return status;
    if (!discard.found)
        return rpc_status_make(RPC_FAILED_PRECONDITION, "%s is %s already",
                               command_word(command, 1), discard.purge ? "purged" : "discarded");
    json_object_set_new(command->result, "mutation_id", mutation_word_json(&entry->mutation_id));
    json_object_set_new(command->result, "discarded_at_ms",
                        json_integer((json_int_t)discard.review.now_ms));
    json_object_set_new(command->result, "discarded_by", json_string(discard.review.account));
    json_object_set_new(command->result, "purged", json_boolean(discard.purge));
    return status;
}

struct rpc_status command_quarantine(struct command *command)
{
    static const struct {
        const char *verb;
        struct rpc_status (*act)(struct command *command, const struct store_quarantined *entry);
    } acts[] = {{"show", show}, {"retry", retry}, {"discard", discard}};
    const char *verb = command_word(command, 0);

    if (verb != NULL && strcmp(verb, "list") == 0)
        return list(command);
    for (size_t i = 0; verb != NULL && i < sizeof acts / sizeof acts[0]; i++) {
        if (strcmp(verb, acts[i].verb) != 0)
            continue;
        struct store_quarantine_list found;
        struct rpc_status status = find(command, &found);
        if (rpc_ok(&status))
            status = acts[i].act(command, &found.entries[0]);
        arena_deinit(&found.arena);
        return status;
    }
    return command_usage("%s", usage);
}
