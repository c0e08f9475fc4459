/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd history: every accepted change of one record. The one command that
 * shows field values, because that is what it is asked for.
 */
#include "record_json.h"

static json_t *entry_json(const struct record_type *type, const struct store_log_entry *logged)
{
    const struct audit_entry *entry = &logged->entry;
    struct record_mutation mutation;
    json_t *row = json_pack(
        "{s:o,s:I,s:I,s:o,s:I}", "region_id", command_id_json(&logged->region_id), "seq",
        (json_int_t)entry->seq, "version", (json_int_t)entry->version, "device_id",
        command_id_json(&entry->device), "received_at_ms", (json_int_t)entry->received_at_ms);

    if (record_mutation_parse(logged->mutation, &mutation)) {
        json_object_set_new(row, "base_version", json_integer((json_int_t)mutation.base_version));
        json_object_set_new(row, "delete", json_boolean(mutation.deletes));
        json_object_set_new(row, "changes", record_json_changes(type, &mutation));
    }
    return row;
}

/* A change of a record that is in two regions is in both logs; it is one. */
static bool is_listed(const json_t *rows, uint64_t version)
{
    size_t index;
    json_t *row;

    json_array_foreach(rows, index, row) if (json_integer_value(json_object_get(row, "version")) ==
                                             (json_int_t)version) return true;
    return false;
}

static void add_entry(json_t *rows, const struct record_type *type,
                      const struct store_log_entry *logged)
{
    if (logged->entry.kind == AUDIT_RECORD && !is_listed(rows, logged->entry.version))
        json_array_append_new(rows, entry_json(type, logged));
}

struct rpc_status command_history(struct command *command)
{
    const char *table = command_word(command, 0);
    struct record_uuid id, region = scope_global_region;
    uint64_t after_seq = 0;
    json_t *rows = json_array();
    struct rpc_status status = rpc_status_ok();
    size_t count;

    json_object_set_new(command->result, "history", rows);
    const struct record_type *type =
        table != NULL ? record_type_by_table(command->roles.schema, table) : NULL;
    if (type == NULL)
        return command_usage("usage: outpostd history TYPE ID --data DIR; TYPE is a table's name");
    status = command_parse_id("ID", command_word(command, 1), &id);
    if (!rpc_ok(&status))
        return status;
    do {
        struct store_log_list list = {.region_id = region,
                                      .after_seq = after_seq,
                                      .of_record = true,
                                      .type = type->number,
                                      .id = id};
        status = command_run(command, &list.request, STORE_LOG_LIST);
        count = rpc_ok(&status) ? list.entry_count : 0;
        for (size_t i = 0; i < count; i++) {
            add_entry(rows, type, &list.entries[i]);
            region = list.entries[i].region_id;
            after_seq = list.entries[i].entry.seq;
        }
        arena_deinit(&list.arena);
    } while (rpc_ok(&status) && count == STORE_LIST_ROWS_MAX);
    if (rpc_ok(&status) && json_array_size(rows) == 0)
        return rpc_status_make(RPC_NOT_FOUND, "there is no %s %s", table, command_word(command, 1));
    return status;
}
