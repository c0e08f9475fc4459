/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd device revoke, allow, disallow and wipe. What they change holds in open
 * streams too, and stands in enrolments.jsonl before the command says so (R22).
 */
#include "device_standing.h"

#include "device_copies.h"

#include <stdio.h>

static struct rpc_status outcome_status(const struct store_device_change *change)
{
    char region[RECORD_UUID_TEXT_LEN + 1];

    record_uuid_format(&change->decision.region, region);
    if (!change->found)
        return command_not_known("device", &change->device_id);
    if (!change->region_known)
        return command_not_known("region", &change->decision.region);
    switch (change->outcome) {
    case STANDING_TOO_MANY_REGIONS:
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "a device may work in %d regions besides its own, ever: enrol it"
                               " anew in another one",
                               SCOPE_RIGHTS_MAX);
    case STANDING_IS_HOME:
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "region %s is that of the device's enrolment: revoke the device",
                               region);
    case STANDING_IS_WIPED:
        return rpc_status_make(RPC_FAILED_PRECONDITION, "the device is wiped already");
    case STANDING_CHANGED:
    case STANDING_UNCHANGED:
        break;
    }
    return rpc_status_ok();
}

/* Of the device that the second word names. */
static struct rpc_status run_change(struct command *command, const char *what,
                                    const struct standing_decision *decision)
{
    struct store_device_change change = {.decision = *decision};
    const char *id = command_word(command, 1);
    struct rpc_status status = command_parse_id(what, id, &change.device_id);

    change.decision.now_ms = command_time_ms();
    if (rpc_ok(&status))
        status = command_run(command, &change.request, STORE_DEVICE_CHANGE);
    if (rpc_ok(&status))
        status = outcome_status(&change);
    if (rpc_ok(&status)) {
        json_object_set_new(command->result, "device_id", command_id_json(&change.device_id));
        json_object_set_new(command->result, "state",
                            json_string(standing_word(&change.device.standing)));
        if (change.device.standing.wipe_ordered_at_ms != 0)
            json_object_set_new(command->result, "wipe_ordered_at_ms",
                                json_integer(change.device.standing.wipe_ordered_at_ms));
    }
    return status;
}

/* ---- revoke ----------------------------------------------------------------- */

static void put_copy(json_t *copies, const struct record_uuid *id, const char *state)
{
    json_array_append_new(copies,
                          json_pack("{s:o,s:s}", "device_id", command_id_json(id), "state", state));
}

/* A copy may certify another one until it is revoked itself, so it is looked again until
 * there is none: each round revokes at least one, and they are STORE_COPIES_MAX at most. */
static struct rpc_status revoke_copies(struct command *command, const struct record_uuid *device_id,
                                       json_t *copies)
{
    struct record_uuid ids[STORE_COPIES_MAX];
    struct rpc_status status;
    size_t count;

    do {
        status = device_copies_active(command, device_id, ids, &count);
        for (size_t i = 0; rpc_ok(&status) && i < count; i++) {
            struct store_device_change change = {
                .device_id = ids[i],
                .decision = {.change = STANDING_REVOKE, .now_ms = command_time_ms()}};
            status = command_run(command, &change.request, STORE_DEVICE_CHANGE);
            if (rpc_ok(&status))
                put_copy(copies, &ids[i], standing_word(&change.device.standing));
        }
    } while (rpc_ok(&status) && count > 0);
    return status;
}

static struct rpc_status tell_copies(struct command *command, const struct record_uuid *device_id,
                                     json_t *copies)
{
    struct record_uuid ids[STORE_COPIES_MAX];
    char text[RECORD_UUID_TEXT_LEN + 1];
    size_t count;
    struct rpc_status status = device_copies_active(command, device_id, ids, &count);

    for (size_t i = 0; i < count; i++) {
        record_uuid_format(&ids[i], text);
        fprintf(stderr, "outpostd: %s is a copy of that device and still active\n", text);
        put_copy(copies, &ids[i], "active");
    }
    if (count > 0)
        fprintf(stderr, "outpostd: who has the phone may have a copy; device revoke ID"
                        " --with-copies revokes copies too\n");
    return status;
}

struct rpc_status device_revoke(struct command *command)
{
    struct standing_decision decision = {.change = STANDING_REVOKE};
    struct record_uuid device_id;
    struct rpc_status status = run_change(command, "device revoke ID", &decision);
    json_t *copies;

    if (!rpc_ok(&status))
        return status;
    copies = json_array();
    json_object_set_new(command->result, "copies", copies);
    status = command_parse_id("device revoke ID", command_word(command, 1), &device_id);
    if (rpc_ok(&status))
        status = command->line->with_copies ? revoke_copies(command, &device_id, copies)
                                            : tell_copies(command, &device_id, copies);
    return status;
}

/* ---- wipe, allow, disallow -------------------------------------------------- */

struct rpc_status device_wipe(struct command *command)
{
    struct standing_decision decision = {.change = command->line->cancel ? STANDING_CANCEL_WIPE
                                                                         : STANDING_ORDER_WIPE};

    return run_change(command, "device wipe ID", &decision);
}

static struct rpc_status change_region(struct command *command, const char *what,
                                       enum standing_change change)
{
    struct standing_decision decision = {.change = change};
    struct rpc_status status =
        command_parse_id("--region R", command->line->region, &decision.region);

    if (rpc_ok(&status))
        status = run_change(command, what, &decision);
    if (rpc_ok(&status))
        json_object_set_new(command->result, "region_id", command_id_json(&decision.region));
    return status;
}

struct rpc_status device_allow(struct command *command)
{
    return change_region(command, "device allow ID", STANDING_ALLOW);
}

struct rpc_status device_disallow(struct command *command)
{
    return change_region(command, "device disallow ID", STANDING_DISALLOW);
}
