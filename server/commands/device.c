/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd device: who may sync, and how.
 */
#include "command.h"

#include "device_standing.h"

#include <stdlib.h>

static const char usage[] =
    "usage: outpostd device list | show ID | revoke ID [--with-copies] | allow ID --region R |"
    " disallow ID --region R | wipe ID [--cancel] | set ID|--region R|--all NAME=VALUE..."
    "   --data DIR";

static json_t *settings_json(const struct settings *settings)
{
    json_t *object = json_object();
    char text[SETTING_TEXT_LEN];

    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &settings_all[i];
        uint32_t value = setting_get(settings, setting);
        setting_format(setting, value, text);
        json_object_set_new(object, setting->name,
                            setting->words != NULL ? json_string(text) : json_integer(value));
    }
    return object;
}

/* Where it may work beyond its enrolment region. */
static json_t *regions_json(const struct scope_rights *rights)
{
    json_t *regions = json_array();

    for (size_t i = 0; i < rights->count; i++)
        if (rights->rights[i].allowed)
            json_array_append_new(regions, command_id_json(&rights->rights[i].region));
    return regions;
}

static json_t *device_json(const struct store_device *device)
{
    const struct standing *standing = &device->standing;

    return json_pack(
        "{s:o,s:o,s:o,s:o,s:o,s:s,s:b,s:I,s:I,s:I,s:I,s:s,s:I,s:I,s:o}", "device_id",
        command_id_json(&device->device_id), "facility_id", command_id_json(&device->facility_id),
        "enrolment_region_id", command_id_json(&device->enrolment_region), "copied_from",
        record_uuid_is_zero(&device->copied_from) ? json_null()
                                                  : command_id_json(&device->copied_from),
        "regions", regions_json(&standing->rights), "state", standing_word(standing), "admin",
        device->admin, "enrolled_at_ms", (json_int_t)device->enrolled_at_ms, "last_sync_at_ms",
        (json_int_t)device->last_sync_at_ms, "last_seen_at_ms", (json_int_t)device->last_seen_at_ms,
        "schema_revision", (json_int_t)device->schema_revision, "app_version", device->app_version,
        "wipe_ordered_at_ms", (json_int_t)standing->wipe_ordered_at_ms, "wiped_at_ms",
        (json_int_t)standing->wiped_at_ms, "settings", settings_json(&device->settings));
}

static struct rpc_status list(struct command *command)
{
    struct store_device_list list = {.defaults = command->config.settings};
    struct rpc_status status = command_run(command, &list.request, STORE_DEVICE_LIST);
    json_t *devices = json_array();

    for (size_t i = 0; rpc_ok(&status) && i < list.device_count; i++)
        json_array_append_new(devices, device_json(&list.devices[i]));
    json_object_set_new(command->result, "devices", devices);
    free(list.devices);
    return status;
}

static struct rpc_status show(struct command *command)
{
    struct store_device_list list = {.defaults = command->config.settings};
    struct record_uuid id;
    struct rpc_status status = command_parse_id("device show ID", command_word(command, 1), &id);

    if (!rpc_ok(&status))
        return status;
    status = command_run(command, &list.request, STORE_DEVICE_LIST);
    bool found = false;
    for (size_t i = 0; rpc_ok(&status) && i < list.device_count && !found; i++) {
        found = record_uuid_compare(&list.devices[i].device_id, &id) == 0;
        if (found) {
            json_decref(command->result);
            command->result = device_json(&list.devices[i]);
        }
    }
    free(list.devices);
    return rpc_ok(&status) && !found ? command_not_known("device", &id) : status;
}

/* ---- set -------------------------------------------------------------------- */

/* Whose settings: --all, --region R, or the second word; first_out is the place
 * of the first assignment. */
static struct rpc_status take_target(const struct command *command, struct store_setting_set *set,
                                     size_t *first_out)
{
    const struct command_line *line = command->line;

    *first_out = line->all || line->region != NULL ? 1 : 2;
    if (line->all && line->region != NULL)
        return command_usage("--all and --region exclude each other");
    if (line->all)
        return rpc_status_ok();
    set->level = line->region != NULL ? STORE_SETTING_REGION : STORE_SETTING_DEVICE;
    return line->region != NULL
               ? command_parse_id("--region", line->region, &set->id)
               : command_parse_id("device set ID", command_word(command, 1), &set->id);
}

static struct rpc_status take_change(const char *word, struct store_setting_set *set)
{
    const char *equals = strchr(word, '=');
    const struct setting *setting =
        equals != NULL ? setting_by_name(word, (size_t)(equals - word)) : NULL;
    struct store_setting_change change = {.setting = setting};
    char rule[SETTING_TEXT_LEN];

    if (equals == NULL)
        return command_usage("\"%.60s\" is not NAME=VALUE", word);
    if (setting == NULL)
        return command_usage("there is no setting %.*s: see outpostd device --help",
                             (int)(equals - word < 60 ? equals - word : 60), word);
    change.removed = equals[1] == '\0';
    if (!change.removed && !setting_parse(setting, equals + 1, &change.value)) {
        setting_rule(setting, rule);
        return command_usage("%s must be %s, not \"%.40s\"", setting->name, rule, equals + 1);
    }
    for (size_t i = 0; i < set->change_count; i++)
        if (set->changes[i].setting == setting)
            return command_usage("%s is given twice", setting->name);
    set->changes[set->change_count++] = change;
    return rpc_status_ok();
}

static json_t *changes_json(const struct store_setting_set *set)
{
    json_t *object = json_object();
    char text[SETTING_TEXT_LEN] = "";

    for (size_t i = 0; i < set->change_count; i++) {
        const struct store_setting_change *change = &set->changes[i];
        if (!change->removed)
            setting_format(change->setting, change->value, text);
        json_object_set_new(object, change->setting->name,
                            change->removed                  ? json_null()
                            : change->setting->words != NULL ? json_string(text)
                                                             : json_integer(change->value));
    }
    return object;
}

static struct rpc_status set_settings(struct command *command)
{
    struct store_setting_set set = {.level = STORE_SETTING_ALL};
    size_t first;
    struct rpc_status status = take_target(command, &set, &first);

    for (size_t i = first; rpc_ok(&status) && i < command->line->word_count; i++)
        status = take_change(command->line->words[i], &set);
    if (rpc_ok(&status) && set.change_count == 0)
        status = command_usage("%s", usage);
    if (rpc_ok(&status))
        status = command_run(command, &set.request, STORE_SETTING_SET);
    if (rpc_ok(&status) && !set.found)
        status =
            command_not_known(set.level == STORE_SETTING_REGION ? "region" : "device", &set.id);
    if (!rpc_ok(&status))
        return status;
    if (set.level != STORE_SETTING_ALL)
        json_object_set_new(command->result,
                            set.level == STORE_SETTING_REGION ? "region_id" : "device_id",
                            command_id_json(&set.id));
    json_object_set_new(command->result, "settings", changes_json(&set));
    return status;
}

struct rpc_status command_device(struct command *command)
{
    static const struct {
        const char *word;
        struct rpc_status (*run)(struct command *command);
    } verbs[] = {
        {"list", list},          {"show", show},
        {"set", set_settings},   {"revoke", device_revoke},
        {"allow", device_allow}, {"disallow", device_disallow},
        {"wipe", device_wipe},
    };
    const char *verb = command_word(command, 0);

    for (size_t i = 0; verb != NULL && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verb, verbs[i].word) == 0)
            return verbs[i].run(command);
    return command_usage("%s", usage);
}
