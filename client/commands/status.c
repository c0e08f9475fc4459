/* SPDX-License-Identifier: Apache-2.0
 *
 * outpost status, verify and facility: what is here, whether it is whole, and
 * where the device works.
 */
#include "command.h"

static json_t *regions_json(const struct outpost_device_status *here)
{
    json_t *regions = json_array();

    for (size_t i = 0; i < here->region_count; i++) {
        const struct outpost_region *region = &here->regions[i];
        json_array_append_new(regions, json_pack("{s:o,s:I,s:I,s:o}", "region_id",
                                                 command_id_json(region->region_id), "seq",
                                                 (json_int_t)region->seq, "records",
                                                 (json_int_t)region->records, "digest",
                                                 command_digest_json(region->digest)));
    }
    return regions;
}

static json_t *records_json(const struct outpost_device_status *here)
{
    json_t *records = json_object();

    for (size_t i = 0; i < here->type_count; i++)
        json_object_set_new(records, here->types[i].table,
                            json_integer((json_int_t)here->types[i].rows));
    return records;
}

static const char *state_word(const struct outpost_device_status *here)
{
    return here->wiped      ? "wiped"
           : here->wiping   ? "wiping"
           : here->enrolled ? "active"
                            : "not enrolled";
}

struct outpost_status command_status(struct command *command)
{
    static struct outpost_device_status here;
    struct outpost_status status;
    outpost *device;

    if (command->word_count != 0)
        return command_fail(OUTPOST_USAGE, "usage: outpost status --db FILE");
    status = command_open_any(command, &device);
    if (status.code != OUTPOST_OK)
        return status;
    status = outpost_get_status(device, &here);
    outpost_close(device);
    if (status.code != OUTPOST_OK)
        return status;
    command_put(command, "state", json_string(state_word(&here)));
    command_put(command, "device_id",
                here.enrolled || here.wiping || here.wiped ? command_id_json(here.device_id)
                                                           : json_null());
    if (here.wiping || here.wiped) {
        command_put(command, "wipe_ordered_at_ms", json_integer(here.wipe_ordered_at_ms));
        return status;
    }
    command_put(command, "facility_id",
                here.enrolled ? command_id_json(here.facility_id) : json_null());
    command_put(command, "regions", regions_json(&here));
    command_put_count(command, "pending", here.pending);
    command_put_count(command, "rejected", here.rejected);
    command_put(command, "records", records_json(&here));
    command_put_count(command, "schema_revision", here.schema_revision);
    command_put_count(command, "minimum_revision", here.minimum_revision);
    command_put_count(command, "recommended_revision", here.recommended_revision);
    return status;
}

struct outpost_status command_verify(struct command *command)
{
    struct outpost_verify_result result;
    struct outpost_status status;
    outpost *device;

    if (command->word_count != 0)
        return command_fail(OUTPOST_USAGE, "usage: outpost verify --db FILE");
    status = command_open(command, &device);
    if (status.code != OUTPOST_OK)
        return status;
    status = outpost_verify(device, &result);
    outpost_close(device);
    command_put(command, "verified", json_boolean(status.code == OUTPOST_OK));
    command_put_count(command, "records", result.records);
    command_put_count(command, "damaged", result.damaged);
    command_put_count(command, "regions_differing", result.regions);
    command_put(command, "compared_with_server", json_boolean(result.compared));
    return status;
}

struct outpost_status command_facility(struct command *command)
{
    struct record_uuid facility;
    struct outpost_status status;
    outpost *device;

    if (command->word_count != 1 || !record_uuid_parse(command->words[0], &facility))
        return command_fail(OUTPOST_USAGE, "usage: outpost facility ID --db FILE; ID is a UUID");
    status = command_open(command, &device);
    if (status.code != OUTPOST_OK)
        return status;
    status = outpost_set_facility(device, facility.bytes);
    outpost_close(device);
    if (status.code == OUTPOST_OK)
        command_put(command, "facility_id", command_id_json(facility.bytes));
    return status;
}
