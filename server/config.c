/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "new_file.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>

/* The whole numbers of the file, with the limits that the protocol gives. */
static const struct number_setting {
    const char *section;
    const char *name;
    size_t offset; /* in struct config */
    uint32_t min, max;
    const char *meaning;
} numbers[] = {
    {"sync", "push_batch", offsetof(struct config, settings.push_batch), 1, PUSH_ITEMS_MAX,
     "mutations in one Push"},
    {"sync", "pull_batch", offsetof(struct config, settings.pull_batch), 1, STORE_PAGE_ROWS_MAX,
     "records in one Pull"},
    {"sync", "batch_bytes", offsetof(struct config, settings.batch_bytes), 1024,
     STORE_PAGE_BYTES_MAX, "bytes of one message, about"},
    {"sync", "sync_interval_s", offsetof(struct config, settings.sync_interval_s), 1, 30 * 86400,
     "seconds between two syncs that nobody asked for"},
};

enum { NUMBER_COUNT = sizeof numbers / sizeof numbers[0] };

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

static int take_number(struct reading *reading, const struct number_setting *setting,
                       const char *value)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);

    if (errno != 0 || end == value || *end != '\0' || number < setting->min ||
        number > setting->max) {
        snprintf(reading->problem, sizeof reading->problem,
                 "%s must be a whole number from %u to %u", setting->name, setting->min,
                 setting->max);
        return 0;
    }
    *(uint32_t *)((char *)reading->config + setting->offset) = (uint32_t)number;
    return 1;
}

static int take_setting(void *context, const char *section, const char *name, const char *value)
{
    struct reading *reading = context;

    if (strcmp(section, "server") == 0 && strcmp(name, "store") == 0)
        return take_text(reading, reading->config->store, value);
    if (strcmp(section, "server") == 0 && strcmp(name, "listen") == 0)
        return take_text(reading, reading->config->listen, value);
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        if (strcmp(section, numbers[i].section) == 0 && strcmp(name, numbers[i].name) == 0)
            return take_number(reading, &numbers[i], value);
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
    stream_settings_init_default(&config_out->settings);
    config_path(config_out, "outpostd.ini", path);
    int line = ini_parse(path, take_setting, &reading);
    if (line == 0)
        return rpc_status_ok();
    if (line == -1)
        return rpc_status_make(RPC_NOT_FOUND, "%s: %s: run outpostd init --data %s first", path,
                               strerror(errno), folder);
    return rpc_status_make(RPC_INVALID_ARGUMENT, "%s, line %d: %s", path, line,
                           reading.problem[0] != '\0' ? reading.problem
                                                      : "not a [section] or a name = value");
}

static void print_config(FILE *file, const char *store_uri)
{
    struct config config;

    stream_settings_init_default(&config.settings);
    fprintf(file,
            "; How this outpostd is set up. Changes take effect with the next start.\n\n"
            "[server]\n"
            "; sqlite (DIR/outpost.db), or postgresql://...\n"
            "store = %s\n"
            "; ADDR:PORT; port 0 picks a free one\n"
            "listen = %s\n\n"
            "[sync]\n",
            store_uri, default_listen);
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        fprintf(file, "; %s, %u..%u\n%s = %u\n", numbers[i].meaning, numbers[i].min, numbers[i].max,
                numbers[i].name, *(const uint32_t *)((const char *)&config + numbers[i].offset));
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
