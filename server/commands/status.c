/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd status: the whole server on one screen.
 */
#include "command.h"

#include "record_json.h"

#include <stdlib.h>

static struct rpc_status add_regions(struct command *command)
{
    struct store_heads heads = {0};
    struct rpc_status status = command_run(command, &heads.request, STORE_HEADS);
    json_t *regions = json_array();

    for (size_t i = 0; rpc_ok(&status) && i < heads.head_count; i++) {
        const struct store_head *head = &heads.heads[i];
        json_t *name = NULL;
        status = record_json_name(command, command->roles.region, &head->region_id, &name);
        json_array_append_new(regions, json_pack("{s:o,s:o,s:I,s:I,s:o}", "region_id",
                                                 command_id_json(&head->region_id), "name",
                                                 name != NULL ? name : json_string(""), "last_seq",
                                                 (json_int_t)head->last.seq, "records",
                                                 (json_int_t)head->records, "digest",
                                                 command_digest_json(head->digest)));
    }
    json_object_set_new(command->result, "regions", regions);
    store_heads_deinit(&heads);
    return status;
}

struct rpc_status command_status(struct command *command)
{
    struct store_device_list devices = {0};
    struct store_quarantine_list quarantine = {0};
    struct store_conflict_count conflicts = {0};

    json_object_set_new(command->result, "store", json_string(command->config.store));
    struct rpc_status status = add_regions(command);
    if (rpc_ok(&status))
        status = command_run(command, &devices.request, STORE_DEVICE_LIST);
    if (rpc_ok(&status))
        status = command_run(command, &conflicts.request, STORE_CONFLICT_COUNT);
    if (rpc_ok(&status)) {
        status = command_run(command, &quarantine.request, STORE_QUARANTINE_LIST);
        arena_deinit(&quarantine.arena);
    }
    free(devices.devices);
    if (!rpc_ok(&status))
        return status;
    json_object_set_new(command->result, "devices", json_integer((json_int_t)devices.device_count));
    json_object_set_new(command->result, "conflicts", json_integer((json_int_t)conflicts.open));
    json_object_set_new(command->result, "quarantined", json_integer((json_int_t)quarantine.total));
    return status;
}
