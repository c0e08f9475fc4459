/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd region and outpostd facility: the global records, by the tables of
 * the schema.
 */
#include "global_read.h"
#include "own_write.h"
#include "record_json.h"

enum { ADD_ARENA_BYTES = 1024 * 1024 };

/* ---- list ----------------------------------------------------------------- */

struct listing {
    json_t *rows;
    const struct record_type *type;
    const char *id_name;
};

static void add_row(void *context, const struct record_image *image, const struct record_body *body)
{
    struct listing *listing = context;
    json_t *row = json_object();

    json_object_set_new(row, listing->id_name, command_id_json(&image->key.id));
    record_json_add(row, listing->type, body);
    json_array_append_new(listing->rows, row);
}

static struct rpc_status list(struct command *command, const struct record_type *type,
                              const char *rows_name, const char *id_name)
{
    struct listing listing = {json_array(), type, id_name};

    json_object_set_new(command->result, rows_name, listing.rows);
    return global_read(command, type, add_row, &listing);
}

/* ---- add ------------------------------------------------------------------ */

static struct rpc_status add(struct command *command, const struct record_type *type,
                             const char *id_name)
{
    struct own_write write;
    struct record_uuid id;
    struct record_body body = {0};
    struct arena arena;
    uint8_t random[RECORD_UUID_LEN];
    struct rpc_status status = rpc_status_ok();

    command_random(random, sizeof random);
    id = record_uuid_v4(random);
    if (command->line->id != NULL)
        status = command_parse_id("--id", command->line->id, &id);
    arena_init(&arena, ADD_ARENA_BYTES);
    for (size_t i = 1; rpc_ok(&status) && i < command->line->word_count; i++)
        status = record_json_set(type, command->line->words[i], &arena, &body);
    if (rpc_ok(&status) && body.count == 0)
        status = command_usage("usage: outpostd %s add FIELD=VALUE... --data DIR",
                               type == command->roles.region ? "region" : "facility");
    if (rpc_ok(&status))
        status = own_write_begin(command, &write);
    if (rpc_ok(&status)) {
        status = own_write_put(&write, type, &id, &body);
        struct rpc_status ended = own_write_end(&write);
        if (rpc_ok(&status))
            status = ended;
    }
    arena_deinit(&arena);
    if (rpc_ok(&status)) {
        json_object_set_new(command->result, id_name, command_id_json(&id));
        command->plain = id_name;
    }
    return status;
}

/* ---- close ---------------------------------------------------------------- */

static struct rpc_status write_closed(struct command *command, const struct record_uuid *id,
                                      const struct wire_field *closed)
{
    struct own_write write;
    struct record_body body = {0};
    struct rpc_status status = own_write_begin(command, &write);

    if (!rpc_ok(&status))
        return status;
    record_body_set(&body, closed);
    status = own_write_put(&write, command->roles.facility, id, &body);
    struct rpc_status ended = own_write_end(&write);
    return rpc_ok(&status) ? ended : status;
}

/* Closing what is closed changes nothing. */
static struct rpc_status close_facility(struct command *command)
{
    const struct scope_roles *roles = &command->roles;
    struct store_record_get get = {.key = {.type = roles->facility->number}};
    struct wire_field closed = {.number = roles->facility_closed->number,
                                .type = WIRE_VARINT,
                                .value = (uint64_t)command_time_ms()};
    struct record_body present;
    struct rpc_status status =
        command_parse_id("facility close ID", command_word(command, 1), &get.key.id);

    if (!rpc_ok(&status))
        return status;
    status = command_run(command, &get.request, STORE_RECORD_GET);
    bool known = rpc_ok(&status) && get.found && !get.deleted;
    if (known && !record_body_parse(rpc_buffer_view(&get.body), &present))
        status = rpc_status_make(RPC_DATA_LOSS, "a stored record does not parse");
    else if (known && scope_facility_is_closed(roles, &present))
        closed = *record_body_find(&present, closed.number);
    else if (known)
        status = write_closed(command, &get.key.id, &closed);
    else if (rpc_ok(&status))
        status =
            rpc_status_make(RPC_NOT_FOUND, "facility %s is not known: see outpostd facility list",
                            command_word(command, 1));
    rpc_buffer_deinit(&get.body);
    if (!rpc_ok(&status))
        return status;
    json_object_set_new(command->result, "facility_id", command_id_json(&get.key.id));
    json_object_set_new(command->result, roles->facility_closed->name,
                        json_integer((json_int_t)closed.value));
    return status;
}

/* ---- The two commands ------------------------------------------------------ */

struct rpc_status command_region(struct command *command)
{
    const char *verb = command_word(command, 0);

    if (verb != NULL && strcmp(verb, "list") == 0)
        return list(command, command->roles.region, "regions", "region_id");
    if (verb != NULL && strcmp(verb, "add") == 0)
        return add(command, command->roles.region, "region_id");
    return command_usage("usage: outpostd region list | add FIELD=VALUE... [--id ID]   --data DIR");
}

struct rpc_status command_facility(struct command *command)
{
    const char *verb = command_word(command, 0);

    if (verb != NULL && strcmp(verb, "list") == 0)
        return list(command, command->roles.facility, "facilities", "facility_id");
    if (verb != NULL && strcmp(verb, "add") == 0)
        return add(command, command->roles.facility, "facility_id");
    if (verb != NULL && strcmp(verb, "close") == 0)
        return close_facility(command);
    return command_usage(
        "usage: outpostd facility list | add FIELD=VALUE... [--id ID] | close ID   --data DIR");
}
