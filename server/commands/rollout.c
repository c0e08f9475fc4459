/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd rollout: which devices a schema revision goes out to, and how it fares.
 */
#include "command.h"

#include "account.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: outpostd rollout set REVISION [--percent P] [--region R] [--device ID] [--minimum N]"
    " [--halt-above P] [--hold TABLE[.FIELD]]... [--resume] | status | halt REVISION [--region R] |"
    " back REVISION [--region R] [--device ID]   --data DIR";

/* ---- Words ------------------------------------------------------------------- */

static struct rpc_status parse_number(const char *what, const char *text, uint32_t *number_out)
{
    char *end;

    errno = 0;
    unsigned long number =
        text != NULL && *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    if (number == 0 || errno != 0 || *end != '\0' || number > INT32_MAX)
        return command_usage("%s must be a whole number from 1", what);
    *number_out = (uint32_t)number;
    return rpc_status_ok();
}

/* 0 to 100 with two decimals at most, as a share. */
static struct rpc_status parse_percent(const char *what, const char *text, uint32_t *share_out)
{
    char *end;
    double percent = *text >= '0' && *text <= '9' ? strtod(text, &end) : -1;
    uint32_t share = (uint32_t)(percent * 100 + 0.5);

    if (percent < 0 || *end != '\0' || percent > 100)
        return command_usage("%s must be a percentage from 0 to 100, not \"%.20s\"", what, text);
    *share_out = share;
    return rpc_status_ok();
}

/* A type that this outpostd does not know yet is named by its number, and a field too. */
static struct rpc_status parse_held(const struct command *command, const char *text,
                                    struct rollout_field *held_out)
{
    const struct record_schema *schema = command->roles.schema;
    char table[64];
    const char *dot = strchr(text, '.');
    const char *field = dot != NULL ? dot + 1 : NULL;
    struct rpc_status status = rpc_status_ok();

    snprintf(table, sizeof table, "%.*s", dot != NULL ? (int)(dot - text) : 63, text);
    const struct record_type *type = record_type_by_table(schema, table);
    *held_out = (struct rollout_field){.type = type != NULL ? type->number : 0};
    if (type == NULL)
        status = parse_number("--hold: a table that this outpostd does not know", table,
                              &held_out->type);
    if (!rpc_ok(&status) || field == NULL)
        return status;
    const struct record_field *known = type != NULL ? record_field_by_name(type, field) : NULL;
    if (known == NULL)
        return parse_number("--hold: a field that this outpostd does not know", field,
                            &held_out->field);
    held_out->field = known->number;
    return status;
}

/* What everything else hangs on cannot be missing anywhere. */
static struct rpc_status check_held(const struct command *command, const struct rollout_field *held)
{
    const struct scope_roles *roles = &command->roles;
    const struct record_type *needed[] = {roles->root, roles->facility, roles->region};

    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (held->field == 0 && held->type == needed[i]->number)
            return rpc_status_make(RPC_INVALID_ARGUMENT,
                                   "every device needs the records of %s: hold fields of it",
                                   needed[i]->table);
    return rpc_status_ok();
}

static struct rpc_status parse_set(const struct command *command, struct rollout_change *change)
{
    const struct command_line *line = command->line;
    struct rpc_status status = rpc_status_ok();

    change->resume = line->resume;
    change->has_share = line->percent != NULL;
    change->has_minimum = line->minimum != NULL;
    change->has_halt_above = line->halt_above != NULL;
    if (change->has_share)
        status = parse_percent("--percent", line->percent, &change->share);
    if (rpc_ok(&status) && change->has_minimum)
        status = parse_number("--minimum", line->minimum, &change->minimum);
    if (rpc_ok(&status) && change->has_halt_above)
        status = parse_percent("--halt-above", line->halt_above, &change->halt_above);
    for (size_t i = 0; i < line->hold_count && rpc_ok(&status); i++)
        status = parse_held(command, line->holds[i], &change->switches[change->switch_count++]);
    for (size_t i = 0; i < change->switch_count && rpc_ok(&status); i++)
        status = check_held(command, &change->switches[i]);
    if (rpc_ok(&status) && change->has_minimum && change->minimum > change->revision)
        return command_usage("--minimum is above the revision that is rolled out");
    return status;
}

static struct rpc_status parse_change(const struct command *command, struct rollout_change *change)
{
    const struct command_line *line = command->line;
    struct rpc_status status =
        parse_number("REVISION", command_word(command, 1), &change->revision);

    if (rpc_ok(&status) && line->region != NULL)
        status = command_parse_id("--region", line->region, &change->region);
    if (rpc_ok(&status) && line->device != NULL)
        status = command_parse_id("--device", line->device, &change->device);
    if (rpc_ok(&status) && change->kind == ROLLOUT_SET)
        status = parse_set(command, change);
    return status;
}

/* ---- set, halt, back ------------------------------------------------------------ */

static json_t *percent_json(uint32_t share)
{
    return share % 100 == 0 ? json_integer(share / 100) : json_real(share / 100.0);
}

static struct rpc_status outcome_status(const struct store_rollout_change *change)
{
    uint32_t revision = change->change.revision;
    uint32_t share = rollout_share(&change->rollout);

    if (!change->region_known)
        return command_not_known("region", &change->change.region);
    if (!change->device_known)
        return command_not_known("device", &change->change.device);
    switch (change->outcome) {
    case ROLLOUT_CHANGED:
        break;
    case ROLLOUT_UNKNOWN:
        return rpc_status_make(
            RPC_NOT_FOUND, "there is no such rollout of revision %u: see outpostd rollout status",
            revision);
    case ROLLOUT_IS_HALTED:
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "the rollout of revision %u is halted at %g %%: see outpostd rollout"
                               " status, and let it grow again by set %u --resume",
                               revision, share / 100.0, revision);
    case ROLLOUT_WOULD_SHRINK:
        return rpc_status_make(
            RPC_FAILED_PRECONDITION,
            "the rollout of revision %u is at %g %% already: to step back, outpostd"
            " rollout back %u",
            revision, share / 100.0, revision);
    case ROLLOUT_TOO_MANY:
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "that is more than fits: %d rollouts of %d steps, %d switches, %d"
                               " devices by name",
                               ROLLOUTS_MAX, ROLLOUT_STEPS_MAX, ROLLOUT_SWITCHES_MAX,
                               ROLLOUT_NAMED_MAX);
    case ROLLOUT_AT_START:
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "the rollout of revision %u is at its beginning", revision);
    }
    return rpc_status_ok();
}

static struct rpc_status run_change(struct command *command, int kind)
{
    struct store_rollout_change change = {.now_ms = command_time_ms()};

    change.change.kind = kind;
    account_name(change.account);
    struct rpc_status status = parse_change(command, &change.change);
    if (rpc_ok(&status))
        status = command_run(command, &change.request, STORE_ROLLOUT_CHANGE);
    if (rpc_ok(&status))
        status = outcome_status(&change);
    if (!rpc_ok(&status))
        return status;
    json_object_set_new(command->result, "revision", json_integer(change.change.revision));
    json_object_set_new(command->result, "percent", percent_json(rollout_share(&change.rollout)));
    json_object_set_new(command->result, "halted", json_boolean(change.rollout.halted));
    return status;
}

static struct rpc_status set(struct command *command)
{
    return run_change(command, ROLLOUT_SET);
}

static struct rpc_status halt(struct command *command)
{
    return run_change(command, ROLLOUT_HALT);
}

static struct rpc_status back(struct command *command)
{
    return run_change(command, ROLLOUT_BACK);
}

/* ---- status ---------------------------------------------------------------------- */

/* The devices that a rollout is about, in its cohort or not. */
struct cohort {
    uint64_t devices, upgraded;
    struct rollout_syncs syncs;
};

static void count_device(const struct rollouts *rollouts, const struct rollout *rollout,
                         const struct store_device *device, struct cohort cohorts[2])
{
    struct rollout_device asked = {device->device_id, device->enrolment_region};

    if (rollout_for(rollouts, rollout->revision, &asked.enrolment_region) != rollout ||
        device->standing.revoked)
        return;
    struct cohort *cohort = &cohorts[rollout_includes(rollouts, rollout->revision, &asked) ? 0 : 1];
    cohort->devices++;
    cohort->upgraded += device->schema_revision >= rollout->revision;
    cohort->syncs.begun += device->syncs.begun;
    cohort->syncs.failed += device->syncs.failed;
    cohort->syncs.rejected += device->syncs.rejected;
}

static json_t *cohort_json(const struct cohort *cohort)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:o}", "devices", (json_int_t)cohort->devices,
                     "upgraded", (json_int_t)cohort->upgraded, "syncs",
                     (json_int_t)cohort->syncs.begun, "failed", (json_int_t)cohort->syncs.failed,
                     "rejected", (json_int_t)cohort->syncs.rejected, "error_percent",
                     percent_json(rollout_error_share(&cohort->syncs)));
}

static json_t *switches_json(const struct command *command, const struct rollouts *rollouts,
                             uint32_t revision)
{
    json_t *held = json_array();

    for (size_t i = 0; i < rollouts->switch_count; i++) {
        const struct rollout_switch *one = &rollouts->switches[i];
        const struct record_type *type = record_type_by_number(command->roles.schema, one->type);
        const struct record_field *field =
            type != NULL ? record_field_by_number(type, one->field) : NULL;
        if (one->revision != revision)
            continue;
        if (one->field == 0)
            json_array_append_new(held, type != NULL ? json_string(type->table)
                                                     : json_sprintf("%u", one->type));
        else if (field != NULL)
            json_array_append_new(held, json_sprintf("%s.%s", type->table, field->name));
        else
            json_array_append_new(held, json_sprintf("%u.%u", one->type, one->field));
    }
    return held;
}

static json_t *rollout_json(const struct command *command, const struct rollouts *rollouts,
                            const struct rollout *rollout, const struct store_device_list *list)
{
    struct cohort cohorts[2] = {{0}};

    for (size_t i = 0; i < list->device_count; i++)
        count_device(rollouts, rollout, &list->devices[i], cohorts);
    return json_pack(
        "{s:i,s:o,s:o,s:b,s:i,s:o,s:o,s:o,s:o}", "revision", rollout->revision, "region_id",
        record_uuid_is_zero(&rollout->region) ? json_null() : command_id_json(&rollout->region),
        "percent", percent_json(rollout_share(rollout)), "halted", rollout->halted, "minimum",
        rollout->minimum, "halt_above", percent_json(rollout->halt_above), "held",
        switches_json(command, rollouts, rollout->revision), "cohort", cohort_json(&cohorts[0]),
        "others", cohort_json(&cohorts[1]));
}

static int compare_revisions(const void *a, const void *b)
{
    const struct store_device *left = a, *right = b;

    return (left->schema_revision > right->schema_revision) -
           (left->schema_revision < right->schema_revision);
}

/* Devices by the revision that they said last, and when one of them was heard of last. */
static json_t *revisions_json(struct store_device_list *list)
{
    json_t *revisions = json_array();
    int64_t last_seen_ms = 0;
    json_int_t count = 0;

    if (list->device_count > 0)
        qsort(list->devices, list->device_count, sizeof list->devices[0], compare_revisions);
    for (size_t i = 0; i < list->device_count; i++) {
        const struct store_device *device = &list->devices[i];
        bool last = i + 1 == list->device_count ||
                    list->devices[i + 1].schema_revision != device->schema_revision;
        count++;
        if (device->last_seen_at_ms > last_seen_ms)
            last_seen_ms = device->last_seen_at_ms;
        if (!last)
            continue;
        json_array_append_new(
            revisions, json_pack("{s:I,s:I,s:I}", "revision", (json_int_t)device->schema_revision,
                                 "devices", count, "last_seen_at_ms", (json_int_t)last_seen_ms));
        count = 0;
        last_seen_ms = 0;
    }
    return revisions;
}

static struct rpc_status show(struct command *command)
{
    struct store_rollout_review review = {.now_ms = command_time_ms()};
    struct store_rollout_list rollouts = {0};
    struct store_device_list devices = {.defaults = command->config.settings};
    struct rpc_status status = command_run(command, &review.request, STORE_ROLLOUT_REVIEW);

    if (rpc_ok(&status))
        status = command_run(command, &rollouts.request, STORE_ROLLOUT_LIST);
    if (rpc_ok(&status))
        status = command_run(command, &devices.request, STORE_DEVICE_LIST);
    json_t *rows = json_array();
    for (size_t i = 0; rpc_ok(&status) && i < rollouts.rollouts.count; i++)
        json_array_append_new(
            rows, rollout_json(command, &rollouts.rollouts, &rollouts.rollouts.list[i], &devices));
    json_object_set_new(command->result, "rollouts", rows);
    json_object_set_new(command->result, "revisions", revisions_json(&devices));
    free(devices.devices);
    return status;
}

struct rpc_status command_rollout(struct command *command)
{
    static const struct {
        const char *word;
        size_t words;
        struct rpc_status (*run)(struct command *command);
    } verbs[] = {{"set", 2, set}, {"halt", 2, halt}, {"back", 2, back}, {"status", 1, show}};
    const char *verb = command_word(command, 0);

    for (size_t i = 0; verb != NULL && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verb, verbs[i].word) == 0 && command->line->word_count <= verbs[i].words)
            return verbs[i].run(command);
    return command_usage("%s", usage);
}
