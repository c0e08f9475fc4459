/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd device: who may sync.
 */
#include "command.h"

#include "enrolled.h"

#include <stdlib.h>

static json_t *device_json(const struct store_device *device)
{
    return json_pack("{s:o,s:o,s:o,s:s,s:b,s:I,s:I}", "device_id",
                     command_id_json(&device->device_id), "facility_id",
                     command_id_json(&device->facility_id), "enrolment_region_id",
                     command_id_json(&device->enrolment_region), "state",
                     device->state == STORE_DEVICE_ACTIVE ? "active" : "revoked", "admin",
                     device->admin, "enrolled_at_ms", (json_int_t)device->enrolled_at_ms,
                     "last_sync_at_ms", (json_int_t)device->last_sync_at_ms);
}

static struct rpc_status list(struct command *command)
{
    struct store_device_list list = {0};
    struct rpc_status status = command_run(command, &list.request, STORE_DEVICE_LIST);
    json_t *devices = json_array();

    for (size_t i = 0; rpc_ok(&status) && i < list.device_count; i++)
        json_array_append_new(devices, device_json(&list.devices[i]));
    json_object_set_new(command->result, "devices", devices);
    free(list.devices);
    return status;
}

static struct rpc_status revoke(struct command *command)
{
    struct store_device_set set = {.state = STORE_DEVICE_REVOKED};
    const char *id = command_word(command, 1);
    struct rpc_status status = command_parse_id("device revoke ID", id, &set.device_id);

    if (rpc_ok(&status))
        status = command_run(command, &set.request, STORE_DEVICE_SET);
    if (rpc_ok(&status) && !set.found)
        return rpc_status_make(RPC_NOT_FOUND, "device %s is not known: see outpostd device list",
                               id);
    if (rpc_ok(&status))
        status = enrolled_note_state(&command->config, &set.device_id, set.state);
    if (rpc_ok(&status)) {
        json_object_set_new(command->result, "device_id", json_string(id));
        json_object_set_new(command->result, "state", json_string("revoked"));
    }
    return status;
}

struct rpc_status command_device(struct command *command)
{
    const char *verb = command_word(command, 0);

    if (verb != NULL && strcmp(verb, "list") == 0)
        return list(command);
    if (verb != NULL && strcmp(verb, "revoke") == 0)
        return revoke(command);
    return command_usage("usage: outpostd device list | revoke ID   --data DIR");
}
