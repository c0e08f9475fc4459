/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd status: the whole server on one screen.
 */
#include "command.h"

#include "engine.h"
#include "global_read.h"
#include "record_json.h"

#include <stdlib.h>

struct regions {
    struct command *command;
    const struct store_heads *heads;
    json_t *rows;
};

static void add_region(struct regions *regions, const struct store_head *head, json_t *name)
{
    json_array_append_new(regions->rows, json_pack("{s:o,s:o,s:I,s:I,s:o}", "region_id",
                                                   command_id_json(&head->region_id), "name", name,
                                                   "last_seq", (json_int_t)head->last.seq,
                                                   "records", (json_int_t)head->records, "digest",
                                                   command_digest_json(head->digest)));
}

static void add_named_region(void *context, const struct record_image *image,
                             const struct record_body *body)
{
    struct regions *regions = context;
    struct store_head head = {.region_id = image->key.id}; /* no family lives there yet */

    for (size_t i = 0; i < regions->heads->head_count; i++)
        if (record_uuid_compare(&regions->heads->heads[i].region_id, &image->key.id) == 0)
            head = regions->heads->heads[i];
    add_region(regions, &head, record_json_name(regions->command->roles.region, body));
}

/* The global records' region first, then every region that has a record. */
static struct rpc_status add_regions(struct command *command)
{
    struct store_heads heads = {0};
    struct rpc_status status = command_run(command, &heads.request, STORE_HEADS);
    struct regions regions = {command, &heads, json_array()};

    json_object_set_new(command->result, "regions", regions.rows);
    for (size_t i = 0; rpc_ok(&status) && i < heads.head_count; i++)
        if (record_uuid_is_zero(&heads.heads[i].region_id))
            add_region(&regions, &heads.heads[i], json_string(""));
    if (rpc_ok(&status))
        status = global_read(command, command->roles.region, add_named_region, &regions);
    store_heads_deinit(&heads);
    return status;
}

struct rpc_status command_status(struct command *command)
{
    char store[CONFIG_TEXT_LEN];
    struct store_device_list devices = {0};
    struct store_quarantine_list quarantine = {0};
    struct store_conflict_list conflicts = {0}; /* an empty range: for the count alone */

    engine_shown(command->config.store, store);
    json_object_set_new(command->result, "store", json_string(store));
    struct rpc_status status = add_regions(command);
    if (rpc_ok(&status))
        status = command_run(command, &devices.request, STORE_DEVICE_LIST);
    if (rpc_ok(&status)) {
        status = command_run(command, &conflicts.request, STORE_CONFLICT_LIST);
        arena_deinit(&conflicts.arena);
    }
    if (rpc_ok(&status)) {
        status = command_run(command, &quarantine.request, STORE_QUARANTINE_LIST);
        arena_deinit(&quarantine.arena);
    }
    free(devices.devices);
    if (!rpc_ok(&status))
        return status;
    json_object_set_new(command->result, "devices", json_integer((json_int_t)devices.device_count));
    json_object_set_new(command->result, "conflicts", json_integer((json_int_t)conflicts.total));
    json_object_set_new(command->result, "quarantined", json_integer((json_int_t)quarantine.total));
    return status;
}
