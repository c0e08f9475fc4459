/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "new_file.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>

static const char default_listen[] = "127.0.0.1:7443";

struct reading {
    struct config *config;
    char problem[128];
};

static int take_text(struct reading *reading, char *text_out, const char *value)
{
    if (strlen(value) >= CONFIG_TEXT_LEN) {
        snprintf(reading->problem, sizeof reading->problem, "the value is too long");
        return 0;
    }
    strcpy(text_out, value);
    return 1;
}

static int take_sync_setting(struct reading *reading, const struct setting *setting,
                             const char *text)
{
    char rule[SETTING_TEXT_LEN];
    uint32_t value;

    if (!setting_parse(setting, text, &value)) {
        setting_rule(setting, rule);
        snprintf(reading->problem, sizeof reading->problem, "%s must be %s", setting->name, rule);
        return 0;
    }
    setting_put(&reading->config->settings, setting, value);
    return 1;
}

static int take_setting(void *context, const char *section, const char *name, const char *value)
{
    struct reading *reading = context;

    if (strcmp(section, "server") == 0 && strcmp(name, "store") == 0)
        return take_text(reading, reading->config->store, value);
    if (strcmp(section, "server") == 0 && strcmp(name, "listen") == 0)
        return take_text(reading, reading->config->listen, value);
    const struct setting *setting =
        strcmp(section, "sync") == 0 ? setting_by_name(name, strlen(name)) : NULL;
    if (setting != NULL)
        return take_sync_setting(reading, setting, value);
    snprintf(reading->problem, sizeof reading->problem, "there is no setting [%.32s] %.32s",
             section, name);
    return 0;
}

void config_path(const struct config *config, const char *name, char path_out[CONFIG_PATH_LEN])
{
    snprintf(path_out, CONFIG_PATH_LEN, "%s/%.60s", config->folder, name);
}

struct rpc_status config_load(const char *folder, struct config *config_out)
{
    struct reading reading = {.config = config_out};
    char path[CONFIG_PATH_LEN];

    *config_out = (struct config){.store = "sqlite"};
    if (strlen(folder) + sizeof "/outpostd.ini" > CONFIG_TEXT_LEN)
        return rpc_status_make(RPC_INVALID_ARGUMENT, "--data: the path is too long");
    strcpy(config_out->folder, folder);
    strcpy(config_out->listen, default_listen);
    settings_init_default(&config_out->settings);
    config_path(config_out, "outpostd.ini", path);
    int line = ini_parse(path, take_setting, &reading);
    if (line == 0)
        return rpc_status_ok();
    if (line == -1 && errno != ENOENT && errno != ENOTDIR)
        return rpc_status_make(RPC_RESOURCE_EXHAUSTED, "%s: %s: check who may read it", path,
                               strerror(errno));
    if (line == -1)
        return rpc_status_make(RPC_NOT_FOUND, "%s: %s: run outpostd init --data %s first", path,
                               strerror(errno), folder);
    return rpc_status_make(RPC_INVALID_ARGUMENT, "%s, line %d: %s", path, line,
                           reading.problem[0] != '\0' ? reading.problem
                                                      : "not a [section] or a name = value");
}

static void print_config(FILE *file, const char *store_uri)
{
    char rule[SETTING_TEXT_LEN], value[SETTING_TEXT_LEN];
    struct settings settings;

    settings_init_default(&settings);
    fprintf(file,
            "; How this outpostd is set up. Changes take effect with the next start.\n\n"
            "[server]\n"
            "; sqlite (DIR/outpost.db), or postgresql://...\n"
            "store = %s\n"
            "; ADDR:PORT; port 0 picks a free one\n"
            "listen = %s\n\n"
            "[sync]\n"
            "; Of every device for which outpostd device set says nothing else.\n",
            store_uri, default_listen);
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &settings_all[i];
        setting_rule(setting, rule);
        setting_format(setting, setting_get(&settings, setting), value);
        fprintf(file, "; %s: %s\n%s = %s\n", setting->meaning, rule, setting->name, value);
    }
}

struct rpc_status config_create(const char *folder, const char *store_uri)
{
    struct new_file new_file;
    struct rpc_status status = new_file_open(&new_file, folder, "outpostd.ini", 0600);

    if (!rpc_ok(&status))
        return status;
    print_config(new_file.file, store_uri);
    return new_file_close(&new_file, !ferror(new_file.file));
}
