/* SPDX-License-Identifier: Apache-2.0 */
#include "device_copies.h"

#include <stdlib.h>

/* The device in the list that this one was copied from; NULL: it enrolled by a code. */
static const struct store_device *origin(const struct store_device_list *list,
                                         const struct store_device *device)
{
    for (size_t i = 0; i < list->device_count; i++)
        if (record_uuid_compare(&list->devices[i].device_id, &device->copied_from) == 0)
            return &list->devices[i];
    return NULL;
}

static bool comes_from(const struct store_device_list *list, const struct store_device *device,
                       const struct record_uuid *ancestor)
{
    /* No line of copies is longer than all of them. */
    for (int step = 0; device != NULL && step < STORE_COPIES_MAX; step++) {
        if (record_uuid_compare(&device->copied_from, ancestor) == 0)
            return true;
        device = origin(list, device);
    }
    return false;
}

struct rpc_status device_copies_active(struct command *command, const struct record_uuid *device_id,
                                       struct record_uuid ids_out[STORE_COPIES_MAX],
                                       size_t *count_out)
{
    struct store_device_list list = {.defaults = command->config.settings};
    struct rpc_status status = command_run(command, &list.request, STORE_DEVICE_LIST);

    *count_out = 0;
    for (size_t i = 0; rpc_ok(&status) && i < list.device_count && *count_out < STORE_COPIES_MAX;
         i++) {
        const struct store_device *device = &list.devices[i];
        if (!device->standing.revoked && comes_from(&list, device, device_id))
            ids_out[(*count_out)++] = device->device_id;
    }
    free(list.devices);
    return status;
}
