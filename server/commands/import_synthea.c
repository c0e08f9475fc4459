/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd import synthea: organizations.csv of a Synthea export becomes
 * facilities and sync regions. The one place of the server where columns of a
 * foreign format meet field names; both are data in the table below.
 */
#include "own_write.h"
#include "record_json.h"

#include "outpost/synthea_csv.h"

#include <stdlib.h>

enum column {
    COLUMN_ID,
    COLUMN_CITY,
    COLUMN_STATE,
    COLUMN_FIRST_FIELD,
    COLUMN_NAME = COLUMN_FIRST_FIELD,
    COLUMN_ADDRESS,
    COLUMN_ZIP,
    COLUMN_LAT,
    COLUMN_LON,
    COLUMN_COUNT,
};

static const char *const columns[COLUMN_COUNT] = {
    [COLUMN_ID] = "Id",     [COLUMN_CITY] = "CITY",       [COLUMN_STATE] = "STATE",
    [COLUMN_NAME] = "NAME", [COLUMN_ADDRESS] = "ADDRESS", [COLUMN_ZIP] = "ZIP",
    [COLUMN_LAT] = "LAT",   [COLUMN_LON] = "LON",
};

/* The facility's field that each column fills. */
static const char *const fields[COLUMN_COUNT] = {
    [COLUMN_CITY] = "village_or_colony", [COLUMN_STATE] = "state",  [COLUMN_NAME] = "name",
    [COLUMN_ADDRESS] = "street_address", [COLUMN_ZIP] = "pin_code", [COLUMN_LAT] = "latitude",
    [COLUMN_LON] = "longitude",
};

enum { ROW_ARENA_BYTES = 4 * 1024 * 1024, REGION_NAME_LEN = 512 };

struct importing {
    struct command *command;
    struct own_write write;
    struct arena arena; /* of one row */
    bool by_city;
    size_t facilities;
    struct region_seen *regions; /* put already */
};

struct region_seen {
    struct record_uuid id;
    UT_hash_handle hh;
};

/* True the first time that a region comes by. */
static bool region_is_new(struct importing *importing, const struct record_uuid *id)
{
    struct region_seen *seen;

    HASH_FIND(hh, importing->regions, id, sizeof *id, seen);
    if (seen != NULL || (seen = calloc(1, sizeof *seen)) == NULL)
        return false;
    seen->id = *id;
    HASH_ADD(hh, importing->regions, id, sizeof *id, seen);
    if (seen->hh.tbl == NULL)
        free(seen); /* its line comes once more */
    return true;
}

static void regions_forget(struct importing *importing)
{
    struct region_seen *seen, *next;

    HASH_ITER(hh, importing->regions, seen, next)
    {
        HASH_DEL(importing->regions, seen);
        free(seen);
    }
}

static struct rpc_status bad_row(const struct synthea_csv *csv, size_t line, const char *what)
{
    struct synthea_error error;

    synthea_csv_explain(csv, line, what, &error);
    return rpc_status_make(RPC_INVALID_ARGUMENT, "%s", error.message);
}

/* The region's id is a UUIDv5 over STATE, or over STATE|CITY. */
static struct rpc_status put_region(struct importing *importing, const struct synthea_row *row,
                                    struct record_uuid *id_out)
{
    const struct record_type *type = importing->command->roles.region;
    const struct record_field *name = record_field_by_name(type, "name");
    struct record_body body = {0};
    struct wire_field value;
    char key[REGION_NAME_LEN], text[REGION_NAME_LEN];

    snprintf(key, sizeof key, importing->by_city ? "%s|%s" : "%s", row->values[COLUMN_STATE],
             row->values[COLUMN_CITY]);
    snprintf(text, sizeof text, importing->by_city ? "%2$s, %1$s" : "%1$s",
             row->values[COLUMN_STATE], row->values[COLUMN_CITY]);
    if (!record_uuid_v5(rpc_bytes_view(key, strlen(key)), id_out))
        return rpc_status_make(RPC_UNAVAILABLE, "out of memory");
    if (!region_is_new(importing, id_out))
        return rpc_status_ok();
    struct rpc_status status = record_json_parse(name, text, &importing->arena, &value);
    if (!rpc_ok(&status))
        return status;
    record_body_set(&body, &value);
    return own_write_put(&importing->write, type, id_out, &body);
}

static struct rpc_status put_facility(struct importing *importing, const struct synthea_csv *csv,
                                      const struct synthea_row *row)
{
    const struct scope_roles *roles = &importing->command->roles;
    struct record_uuid id, region;
    struct record_body body = {0};
    struct wire_field value;

    if (!record_uuid_parse(row->values[COLUMN_ID], &id))
        return bad_row(csv, row->line, "Id is not a UUID");
    if (row->values[COLUMN_STATE][0] == '\0')
        return bad_row(csv, row->line, "STATE is empty");
    struct rpc_status status = put_region(importing, row, &region);
    for (size_t i = 0; rpc_ok(&status) && i < COLUMN_COUNT; i++) {
        if (fields[i] == NULL || row->values[i][0] == '\0')
            continue;
        status = record_json_parse(record_field_by_name(roles->facility, fields[i]), row->values[i],
                                   &importing->arena, &value);
        if (!rpc_ok(&status))
            return bad_row(csv, row->line, status.message);
        record_body_set(&body, &value);
    }
    if (!rpc_ok(&status))
        return status;
    value = (struct wire_field){.number = roles->facility_home->number,
                                .type = WIRE_LEN,
                                .bytes = rpc_bytes_view(region.bytes, RECORD_UUID_LEN)};
    record_body_set(&body, &value);
    importing->facilities++;
    return own_write_put(&importing->write, roles->facility, &id, &body);
}

static struct rpc_status put_rows(struct importing *importing, struct synthea_csv *csv)
{
    struct rpc_status status = rpc_status_ok();
    enum synthea_status read = SYNTHEA_ROW;
    struct synthea_error error;
    struct synthea_row row;

    while (rpc_ok(&status) && (read = synthea_csv_next(csv, &row, &error)) == SYNTHEA_ROW) {
        arena_init(&importing->arena, ROW_ARENA_BYTES);
        status = put_facility(importing, csv, &row);
        arena_deinit(&importing->arena);
    }
    if (rpc_ok(&status) && read == SYNTHEA_FAILED)
        return rpc_status_make(RPC_INVALID_ARGUMENT, "%s", error.message);
    if (rpc_ok(&status) && importing->facilities == 0)
        return bad_row(csv, 1, "there is no organization after the header");
    return status;
}

static struct rpc_status import_organizations(struct importing *importing, const char *folder)
{
    char path[CONFIG_PATH_LEN];
    struct synthea_error error;

    snprintf(path, sizeof path, "%s/organizations.csv", folder);
    struct synthea_csv *csv = synthea_csv_open(path, columns, COLUMN_COUNT, &error);
    if (csv == NULL)
        return rpc_status_make(RPC_INVALID_ARGUMENT, "%s", error.message);
    struct rpc_status status = own_write_begin(importing->command, &importing->write);
    if (rpc_ok(&status)) {
        status = put_rows(importing, csv);
        if (rpc_ok(&status))
            status = own_write_end(&importing->write);
        else
            push_batch_free(importing->write.batch);
    }
    synthea_csv_close(csv);
    return status;
}

struct rpc_status command_import(struct command *command)
{
    const char *format = command_word(command, 0);
    const char *folder = command_word(command, 1);
    const char *regions = command->line->regions != NULL ? command->line->regions : "state";
    struct importing importing = {.command = command, .by_city = strcmp(regions, "city") == 0};

    if (format == NULL || strcmp(format, "synthea") != 0 || folder == NULL)
        return command_usage(
            "usage: outpostd import synthea CSVDIR --data DIR [--regions state|city]");
    if (!importing.by_city && strcmp(regions, "state") != 0)
        return command_usage("--regions must be state or city");
    struct rpc_status status = import_organizations(&importing, folder);
    regions_forget(&importing);
    if (!rpc_ok(&status))
        return status;
    json_object_set_new(command->result, "facilities",
                        json_integer((json_int_t)importing.facilities));
    json_object_set_new(command->result, "changed",
                        json_integer((json_int_t)importing.write.changed));
    json_object_set_new(command->result, "unchanged",
                        json_integer((json_int_t)importing.write.unchanged));
    return status;
}
