/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd enrol: makes a one-time code. The code itself is printed and never
 * stored; the store keeps the hash of its secret part.
 */
#include "command.h"

#include "code.h"

static struct rpc_status take_regions(const struct command_line *line, struct store_code_add *add)
{
    struct rpc_status status = rpc_status_ok();

    for (size_t i = 0; i < line->region_count && rpc_ok(&status); i++)
        status = command_parse_id("--region R", line->every_region[i],
                                  &add->regions[add->region_count++]);
    return status;
}

struct rpc_status command_enrol(struct command *command)
{
    struct store_code_add add = {.admin = command->line->admin};
    uint8_t random[CODE_SYMBOLS];
    char text[CODE_TEXT_LEN + 1];
    struct rpc_status status =
        command_parse_id("--facility ID", command->line->facility, &add.facility_id);

    if (rpc_ok(&status))
        status = take_regions(command->line, &add);
    if (!rpc_ok(&status))
        return status;
    command_random(random, sizeof random);
    struct code code = code_make(random, command->hasher, text);
    memcpy(add.selector, code.selector, sizeof add.selector);
    memcpy(add.secret_hash, code.secret_hash, sizeof add.secret_hash);
    add.now_ms = command_time_ms();
    add.expires_at_ms = add.now_ms + CODE_VALID_MS;
    status = command_run(command, &add.request, STORE_CODE_ADD);
    if (rpc_ok(&status) && !add.facility_known)
        return rpc_status_make(RPC_NOT_FOUND,
                               "facility %s is not known: see outpostd facility list",
                               command->line->facility);
    if (rpc_ok(&status) && add.facility_closed)
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "facility %s is closed: no device enrols there",
                               command->line->facility);
    if (rpc_ok(&status) && !add.regions_known)
        return rpc_status_make(RPC_NOT_FOUND,
                               "a region of --region is not known: see outpostd region list");
    if (!rpc_ok(&status))
        return status;
    json_object_set_new(command->result, "code", json_string(text));
    json_object_set_new(command->result, "facility_id", json_string(command->line->facility));
    json_object_set_new(command->result, "admin", json_boolean(add.admin));
    json_object_set_new(command->result, "expires_at_ms", json_integer(add.expires_at_ms));
    command->plain = "code";
    return status;
}
