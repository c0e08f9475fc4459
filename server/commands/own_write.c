/* SPDX-License-Identifier: Apache-2.0 */
#include "own_write.h"

#include <stdlib.h>

struct rpc_status own_write_begin(struct command *command, struct own_write *write_out)
{
    struct scope_device itself = {.admin = true};

    *write_out = (struct own_write){
        .command = command,
        .batch = push_batch_new(&itself, command_time_ms()),
    };
    return write_out->batch != NULL ? rpc_status_ok()
                                    : rpc_status_make(RPC_UNAVAILABLE, "out of memory");
}

/* The fields in which the wanted body differs from the present one. */
static void difference(const struct record_body *present, const struct record_body *wanted,
                       struct record_mutation *mutation, struct record_body *changes)
{
    mutation->field_count = 0;
    changes->count = 0;
    for (size_t i = 0; i < wanted->count; i++) {
        const struct wire_field *field = &wanted->fields[i];
        if (record_value_equal(record_body_find(present, field->number), field))
            continue;
        mutation->fields[mutation->field_count++] = field->number;
        record_body_set(changes, field);
    }
}

struct rpc_status own_write_add(struct own_write *write, struct record_mutation *mutation,
                                const struct record_body *changes)
{
    struct rpc_buffer body, bytes;

    rpc_buffer_init(&body, RECORD_BODY_BYTES_MAX);
    rpc_buffer_init(&bytes, RECORD_ENVELOPE_BYTES_MAX);
    record_body_encode(changes, &body);
    mutation->body = rpc_buffer_view(&body);
    record_mutation_encode(mutation, &bytes);
    bool added = !body.failed && !bytes.failed &&
                 push_batch_add(write->batch, rpc_buffer_view(&bytes), mutation->base_stamp,
                                write->command->hasher);
    rpc_buffer_deinit(&bytes);
    rpc_buffer_deinit(&body);
    write->changed++;
    return added ? rpc_status_ok()
                 : rpc_status_make(RPC_INVALID_ARGUMENT, "the record is too large");
}

struct rpc_status own_write_put(struct own_write *write, const struct record_type *type,
                                const struct record_uuid *id, const struct record_body *body)
{
    struct store_record_get get = {.key = {.type = type->number, .id = *id}};
    struct record_mutation mutation = {.key = get.key};
    struct record_body present = {0}, changes;
    struct rpc_status status = command_run(write->command, &get.request, STORE_RECORD_GET);

    if (rpc_ok(&status) && get.found && !record_body_parse(rpc_buffer_view(&get.body), &present))
        status = rpc_status_make(RPC_DATA_LOSS, "a stored record does not parse");
    if (rpc_ok(&status)) {
        mutation.base_version = get.version;
        mutation.base_stamp = get.stamp;
        difference(&present, body, &mutation, &changes);
        if (mutation.field_count == 0)
            write->unchanged++;
        else
            status = own_write_add(write, &mutation, &changes);
    }
    rpc_buffer_deinit(&get.body);
    return status;
}

static struct rpc_status check_outcome(const struct own_write *write, const struct push_item *item)
{
    const struct record_schema *schema = write->command->roles.schema;
    const struct record_type *type = record_type_by_number(schema, item->mutation->key.type);
    const struct record_field *at =
        type != NULL ? record_field_by_number(type, item->outcome.field) : NULL;
    char id[RECORD_UUID_TEXT_LEN + 1];

    if (item->outcome.status != PUSH_QUARANTINED && item->outcome.status != PUSH_RETRY)
        return rpc_status_ok();
    record_uuid_format(&item->mutation->key.id, id);
    return rpc_status_make(RPC_INVALID_ARGUMENT, "%s %s was refused: %s%s%s",
                           type != NULL ? type->table : "record", id, at != NULL ? at->name : "",
                           at != NULL ? ": " : "", push_reason_text(item->outcome.reason));
}

static struct rpc_status check_outcomes(struct own_write *write)
{
    struct rpc_status status = rpc_status_ok();

    for (size_t i = 0; i < write->batch->item_count; i++) {
        const struct push_item *item = &write->batch->items[i];
        write->accepted +=
            item->outcome.status == PUSH_APPLIED || item->outcome.status == PUSH_MERGED;
        if (rpc_ok(&status))
            status = check_outcome(write, item);
    }
    return status;
}

struct rpc_status own_write_end(struct own_write *write)
{
    struct store_push push = {.batch = write->batch};
    struct rpc_status status = rpc_status_ok();

    if (write->batch->item_count > 0) {
        status = command_run(write->command, &push.request, STORE_PUSH);
        if (rpc_ok(&status))
            status = check_outcomes(write);
    }
    push_batch_free(write->batch);
    write->batch = NULL;
    return status;
}
