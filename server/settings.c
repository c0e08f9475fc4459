/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const pause_words[] = {"no", "yes"};
static const char *const compression_words[] = {"best", "off", "gzip", "zstd"};

const struct setting settings_all[SETTINGS_COUNT] = {
    {"push_batch", offsetof(struct settings, push_batch), 1, PUSH_ITEMS_MAX, NULL,
     "mutations in one Push"},
    {"pull_batch", offsetof(struct settings, pull_batch), 1, STORE_PAGE_ROWS_MAX, NULL,
     "records in one Pull"},
    {"batch_bytes", offsetof(struct settings, batch_bytes), 1024, STORE_PAGE_BYTES_MAX, NULL,
     "bytes of one message, about"},
    {"sync_interval_s", offsetof(struct settings, sync_interval_s), 1, 30 * 86400, NULL,
     "seconds between two syncs that nobody asked for"},
    {"pause", offsetof(struct settings, pause), 0, 1, pause_words,
     "whether devices wait until somebody asks them to sync"},
    {"compression", offsetof(struct settings, compression), SETTINGS_COMPRESSION_BEST,
     SETTINGS_COMPRESSION_ZSTD, compression_words, "how messages are compressed, both ways"},
};

void settings_init_default(struct settings *settings)
{
    *settings = (struct settings){
        .push_batch = 2000,
        .pull_batch = 2000,
        .batch_bytes = 1024 * 1024,
        .sync_interval_s = 900,
    };
}

const struct setting *setting_by_name(const char *name, size_t len)
{
    for (size_t i = 0; i < SETTINGS_COUNT; i++)
        if (strlen(settings_all[i].name) == len && memcmp(settings_all[i].name, name, len) == 0)
            return &settings_all[i];
    return NULL;
}

uint32_t setting_get(const struct settings *settings, const struct setting *setting)
{
    uint32_t value;

    memcpy(&value, (const char *)settings + setting->offset, sizeof value);
    return value;
}

void setting_put(struct settings *settings, const struct setting *setting, uint32_t value)
{
    memcpy((char *)settings + setting->offset, &value, sizeof value);
}

bool setting_parse(const struct setting *setting, const char *text, uint32_t *value_out)
{
    char *end;

    for (uint32_t i = 0; setting->words != NULL && i <= setting->max; i++) {
        if (strcmp(text, setting->words[i]) == 0) {
            *value_out = i;
            return true;
        }
    }
    if (setting->words != NULL || *text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || number < setting->min || number > setting->max)
        return false;
    *value_out = (uint32_t)number;
    return true;
}

void setting_rule(const struct setting *setting, char text_out[SETTING_TEXT_LEN])
{
    size_t len = 0;

    if (setting->words == NULL) {
        snprintf(text_out, SETTING_TEXT_LEN, "a whole number from %u to %u", setting->min,
                 setting->max);
        return;
    }
    for (uint32_t i = 0; i <= setting->max && len < SETTING_TEXT_LEN; i++)
        len += (size_t)snprintf(text_out + len, SETTING_TEXT_LEN - len, "%s%s",
                                i == 0             ? ""
                                : i < setting->max ? ", "
                                                   : " or ",
                                setting->words[i]);
}

void setting_format(const struct setting *setting, uint32_t value, char text_out[SETTING_TEXT_LEN])
{
    if (setting->words != NULL && value <= setting->max)
        snprintf(text_out, SETTING_TEXT_LEN, "%s", setting->words[value]);
    else
        snprintf(text_out, SETTING_TEXT_LEN, "%u", value);
}
