/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd conflict: edits that met on one field (R12), until someone resolves
 * them. `list` tells names and who won; `show` tells both values, because it is
 * asked to; `resolve --take` sets a value back by an edit of the server's own,
 * which travels like any edit.
 */
#include "clash.h"
#include "mutation_word.h"
#include "own_write.h"
#include "record_json.h"

#include <stdio.h>
#include <stdlib.h>

static const char usage[] = "usage: outpostd conflict list [--all] | show ID |"
                            " resolve ID [--take arriving|stored]   --data DIR";

/* A field's name and a NUL. */
enum { NAME_BYTES = 65 };

/* A conflict with what is needed to speak of its fields. */
struct conflict {
    const struct store_conflict *entry;
    const struct record_type *type; /* NULL: unknown here */
    struct record_mutation mutation;
};

static struct conflict conflict_of(const struct command *command,
                                   const struct store_conflict *entry)
{
    struct conflict conflict = {
        .entry = entry,
        .type = record_type_by_number(command->roles.schema, entry->key.type),
    };

    if (!record_mutation_parse(entry->mutation, &conflict.mutation))
        conflict.mutation.field_count = 0;
    return conflict;
}

static const char *winner(const struct clash *clash)
{
    return clash->arriving_lost ? "stored" : "arriving";
}

/* Whether the mutation's field at that place is of the clash. */
static bool clash_has(const struct conflict *conflict, const struct clash *clash, size_t i)
{
    return clash->kind == MERGE_CLASH_FIELD &&
           merge_group_of(conflict->type, conflict->mutation.fields[i]) == clash->group;
}

/* ---- list and show --------------------------------------------------------- */

static const struct record_field *name_of(const struct conflict *conflict, uint32_t number,
                                          char name_out[NAME_BYTES])
{
    const struct record_field *field =
        conflict->type != NULL ? record_field_by_number(conflict->type, number) : NULL;

    if (field != NULL)
        snprintf(name_out, NAME_BYTES, "%s", field->name);
    else
        snprintf(name_out, NAME_BYTES, "field %u", number);
    return field;
}

/* Field name -> which side won. A deletion is the field "deleted". */
static json_t *winners_json(const struct conflict *conflict)
{
    struct wire_reader entry = wire_reader_over(conflict->entry->clashes);
    json_t *fields = json_object();
    char name[NAME_BYTES];
    struct clash clash;

    while (clash_next(&entry, &clash)) {
        if (clash.kind != MERGE_CLASH_FIELD)
            json_object_set_new(fields, "deleted", json_string(winner(&clash)));
        for (size_t i = 0; i < conflict->mutation.field_count; i++) {
            if (!clash_has(conflict, &clash, i))
                continue;
            name_of(conflict, conflict->mutation.fields[i], name);
            json_object_set_new(fields, name, json_string(winner(&clash)));
        }
    }
    return fields;
}

static json_t *entry_json(const struct conflict *conflict)
{
    const struct store_conflict *entry = conflict->entry;
    json_t *row = json_pack(
        "{s:o,s:o,s:s,s:o,s:o,s:o,s:o,s:I,s:I}", "mutation_id",
        mutation_word_json(&entry->mutation_id), "region_id", command_id_json(&entry->region_id),
        "type", conflict->type != NULL ? conflict->type->table : "unknown", "family_id",
        command_id_json(&entry->key.family), "id", command_id_json(&entry->key.id), "fields",
        winners_json(conflict), "device_id", command_id_json(&entry->device_id), "version",
        (json_int_t)entry->version, "received_at_ms", (json_int_t)entry->received_at_ms);

    mutation_word_add_closed(row, "resolved", &entry->resolved);
    return row;
}

static struct rpc_status list(struct command *command)
{
    json_t *entries = json_array();
    uint64_t offset = 0;
    struct rpc_status status;
    size_t count;

    json_object_set_new(command->result, "conflicts", entries);
    do {
        struct store_conflict_list page = {.range = mutation_word_all(command), .offset = offset};
        status = command_run(command, &page.request, STORE_CONFLICT_LIST);
        count = rpc_ok(&status) ? page.entry_count : 0;
        for (size_t i = 0; i < count; i++) {
            struct conflict conflict = conflict_of(command, &page.entries[i]);
            json_array_append_new(entries, entry_json(&conflict));
        }
        arena_deinit(&page.arena);
        offset += count;
    } while (rpc_ok(&status) && count == STORE_LIST_ROWS_MAX);
    return status;
}

static json_t *value_json(const struct record_field *field, const struct record_body *body,
                          uint32_t number)
{
    return field != NULL ? record_json_value(field, record_body_find(body, number))
                         : json_string("not known to this server's schema");
}

static void add_values(json_t *values, const struct conflict *conflict, const struct clash *clash)
{
    struct record_body stored, arriving;
    char name[NAME_BYTES];

    if (clash->kind != MERGE_CLASH_FIELD) {
        bool arriving_deletes = clash->kind == MERGE_CLASH_DELETE;
        json_array_append_new(values, json_pack("{s:s,s:s,s:b,s:b}", "field", "deleted", "winner",
                                                winner(clash), "stored", !arriving_deletes,
                                                "arriving", arriving_deletes));
        return;
    }
    if (!record_body_parse(clash->stored, &stored) ||
        !record_body_parse(clash->arriving, &arriving))
        return;
    for (size_t i = 0; i < conflict->mutation.field_count; i++) {
        uint32_t number = conflict->mutation.fields[i];
        if (!clash_has(conflict, clash, i))
            continue;
        const struct record_field *field = name_of(conflict, number, name);
        json_array_append_new(values,
                              json_pack("{s:s,s:s,s:o,s:o}", "field", name, "winner", winner(clash),
                                        "stored", value_json(field, &stored, number), "arriving",
                                        value_json(field, &arriving, number)));
    }
}

static struct rpc_status show(struct command *command, const struct store_conflict *entry)
{
    struct conflict conflict = conflict_of(command, entry);
    struct wire_reader reader = wire_reader_over(entry->clashes);
    json_t *values = json_array();
    struct clash clash;

    while (clash_next(&reader, &clash))
        add_values(values, &conflict, &clash);
    json_decref(command->result);
    command->result = entry_json(&conflict);
    json_object_set_new(command->result, "values", values);
    return rpc_status_ok();
}

/* ---- resolve ---------------------------------------------------------------- */

/* The record as it is now, and the edit that gives it the wanted side. */
struct taking {
    struct command *command;
    bool take_arriving;
    bool deleted; /* now */
    struct record_body now;
    struct record_mutation mutation;
    struct record_body changes;
};

static struct rpc_status changed_since(const struct taking *taking)
{
    return rpc_status_make(RPC_FAILED_PRECONDITION,
                           "the record was edited after %s: see outpostd history, and resolve it"
                           " without --take",
                           command_word(taking->command, 1));
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Whether the record has that side's values now. */
static bool has_side(const struct taking *taking, const struct conflict *conflict,
                     const struct clash *clash, const struct record_body *side)
{
    for (size_t i = 0; i < conflict->mutation.field_count; i++)
        if (clash_has(conflict, clash, i) &&
            !record_value_equal(record_body_find(&taking->now, conflict->mutation.fields[i]),
                                record_body_find(side, conflict->mutation.fields[i])))
            return false;
    return true;
}

/* An edit that somebody made after the conflict is not undone. */
static struct rpc_status take_fields(struct taking *taking, const struct conflict *conflict,
                                     const struct clash *clash)
{
    struct record_body sides[2]; /* stored, arriving */

    if (!record_body_parse(clash->stored, &sides[0]) ||
        !record_body_parse(clash->arriving, &sides[1]))
        return rpc_status_make(RPC_DATA_LOSS, "a stored conflict does not parse");
    const struct record_body *wanted = &sides[taking->take_arriving ? 1 : 0];
    if (has_side(taking, conflict, clash, wanted))
        return rpc_status_ok();
    if (!has_side(taking, conflict, clash, &sides[clash->arriving_lost ? 0 : 1]))
        return changed_since(taking);
    for (size_t i = 0; i < conflict->mutation.field_count; i++) {
        uint32_t number = conflict->mutation.fields[i];
        const struct wire_field *value = record_body_find(wanted, number);
        if (!clash_has(conflict, clash, i))
            continue;
        taking->mutation.fields[taking->mutation.field_count++] = number;
        if (value != NULL)
            record_body_set(&taking->changes, value);
    }
    return rpc_status_ok();
}

/* The side that wanted the record gone: a patient is deleted with all that
 * belongs to it, which is a device's work. */
static struct rpc_status take_deletion(struct taking *taking, const struct conflict *conflict,
                                       const struct clash *clash)
{
    bool arriving_deletes = clash->kind == MERGE_CLASH_DELETE;

    if (taking->take_arriving != arriving_deletes || taking->deleted)
        return rpc_status_ok();
    if (taking->mutation.base_version != conflict->entry->version)
        return changed_since(taking);
    if (conflict->type == taking->command->roles.root)
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "a %s is deleted on a device, with all that belongs to it: resolve"
                               " %s without --take",
                               conflict->type->table, command_word(taking->command, 1));
    taking->mutation.deletes = true;
    return rpc_status_ok();
}

static struct rpc_status prepare(struct taking *taking, const struct conflict *conflict)
{
    struct wire_reader reader = wire_reader_over(conflict->entry->clashes);
    struct rpc_status status = rpc_status_ok();
    struct record_mutation *mutation = &taking->mutation;
    struct clash clash;

    while (rpc_ok(&status) && clash_next(&reader, &clash))
        status = clash.kind == MERGE_CLASH_FIELD ? take_fields(taking, conflict, &clash)
                                                 : take_deletion(taking, conflict, &clash);
    if (mutation->deletes) {
        mutation->field_count = 0;
        taking->changes.count = 0;
    }
    qsort(mutation->fields, mutation->field_count, sizeof mutation->fields[0], compare_numbers);
    return status;
}

static struct rpc_status write_taken(struct taking *taking)
{
    struct own_write write;
    struct rpc_status status = own_write_begin(taking->command, &write);

    if (!rpc_ok(&status))
        return status;
    status = own_write_add(&write, &taking->mutation, &taking->changes);
    struct rpc_status ended = own_write_end(&write);
    if (rpc_ok(&status))
        status = ended;
    if (rpc_ok(&status) && write.accepted == 0)
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "the field's own merge rule keeps the stored value: resolve %s"
                               " without --take",
                               command_word(taking->command, 1));
    return status;
}

static struct rpc_status take(struct command *command, const struct store_conflict *entry)
{
    struct conflict conflict = conflict_of(command, entry);
    struct store_record_get get = {.key = entry->key,
                                   .of_family = !record_uuid_is_zero(&entry->key.family)};
    struct taking taking = {.command = command,
                            .take_arriving = strcmp(command->line->take, "arriving") == 0};
    struct rpc_status status = command_run(command, &get.request, STORE_RECORD_GET);

    if (rpc_ok(&status) &&
        (!get.found || !record_body_parse(rpc_buffer_view(&get.body), &taking.now)))
        status = rpc_status_make(RPC_DATA_LOSS, "the record of %s is not there",
                                 command_word(command, 1));
    if (rpc_ok(&status)) {
        taking.deleted = get.deleted;
        taking.mutation.key = entry->key;
        taking.mutation.base_version = get.version;
        taking.mutation.base_stamp = get.stamp;
        status = prepare(&taking, &conflict);
    }
    if (rpc_ok(&status) && (taking.mutation.field_count > 0 || taking.mutation.deletes))
        status = write_taken(&taking);
    rpc_buffer_deinit(&get.body);
    return status;
}

static struct rpc_status resolve(struct command *command, const struct store_conflict *entry)
{
    struct store_conflict_resolve resolve = {
        .review = mutation_word_review(&entry->region_id, &entry->mutation_id)};
    const char *side = command->line->take;
    struct rpc_status status = rpc_status_ok();

    if (side != NULL && strcmp(side, "arriving") != 0 && strcmp(side, "stored") != 0)
        return command_usage("--take must be arriving or stored, not \"%.20s\"", side);
    if (entry->resolved.at_ms == 0 && side != NULL)
        status = take(command, entry);
    if (rpc_ok(&status))
        status = command_run(command, &resolve.request, STORE_CONFLICT_RESOLVE);
    if (rpc_ok(&status) && !resolve.found)
        return rpc_status_make(RPC_FAILED_PRECONDITION, "%s is resolved already",
                               command_word(command, 1));
    if (!rpc_ok(&status))
        return status;
    json_object_set_new(command->result, "mutation_id", mutation_word_json(&entry->mutation_id));
    json_object_set_new(command->result, "resolved_at_ms",
                        json_integer((json_int_t)resolve.review.now_ms));
    json_object_set_new(command->result, "resolved_by", json_string(resolve.review.account));
    if (side != NULL)
        json_object_set_new(command->result, "taken", json_string(side));
    return status;
}

/* ---- The command ------------------------------------------------------------ */

static struct rpc_status find(struct command *command, struct store_conflict_list *found)
{
    struct mutation_word word;
    struct rpc_status status = mutation_word_take(command, &word);

    *found = (struct store_conflict_list){.range = word.range};
    if (!rpc_ok(&status))
        return status;
    status = command_run(command, &found->request, STORE_CONFLICT_LIST);
    return rpc_ok(&status) ? mutation_word_unique(command, "conflict", found->entry_count) : status;
}

struct rpc_status command_conflict(struct command *command)
{
    const char *verb = command_word(command, 0);
    struct store_conflict_list found;

    if (verb != NULL && strcmp(verb, "list") == 0)
        return list(command);
    if (verb == NULL || (strcmp(verb, "show") != 0 && strcmp(verb, "resolve") != 0))
        return command_usage("%s", usage);
    struct rpc_status status = find(command, &found);
    if (rpc_ok(&status))
        status = strcmp(verb, "show") == 0 ? show(command, &found.entries[0])
                                           : resolve(command, &found.entries[0]);
    arena_deinit(&found.arena);
    return status;
}
