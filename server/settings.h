/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings: what one device is told to keep within (Settings in sync.proto), by
 * name, with the limits of each. The ini file gives the defaults; what is set at
 * run time for all devices, for a region or for one device goes over them, the
 * narrower over the wider.
 */
#ifndef OUTPOST_SERVER_SETTINGS_H
#define OUTPOST_SERVER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers of outpost.v1.Compression. */
enum settings_compression {
    SETTINGS_COMPRESSION_BEST = 0,
    SETTINGS_COMPRESSION_OFF = 1,
    SETTINGS_COMPRESSION_GZIP = 2,
    SETTINGS_COMPRESSION_ZSTD = 3,
};

struct settings {
    uint32_t push_batch;
    uint32_t pull_batch;
    uint32_t batch_bytes;
    uint32_t sync_interval_s;
    uint32_t pause; /* 1: the device does not sync by itself */
    uint32_t compression;
};

struct setting {
    const char *name;
    size_t offset; /* in struct settings; each is a uint32_t */
    uint32_t min, max;
    const char *const *words; /* the words for min..max; NULL: they are numbers */
    const char *meaning;
};

enum {
    SETTINGS_COUNT = 6,
    /* A value, or what a value must be, as text with its NUL. */
    SETTING_TEXT_LEN = 64,
};
extern const struct setting settings_all[SETTINGS_COUNT];

void settings_init_default(struct settings *settings);

/* NULL: there is none of that name. */
const struct setting *setting_by_name(const char *name, size_t len);

uint32_t setting_get(const struct settings *settings, const struct setting *setting);
void setting_put(struct settings *settings, const struct setting *setting, uint32_t value);

/* False: not a value of this setting; setting_rule says what is. */
bool setting_parse(const struct setting *setting, const char *text, uint32_t *value_out);
void setting_rule(const struct setting *setting, char text_out[SETTING_TEXT_LEN]);
void setting_format(const struct setting *setting, uint32_t value, char text_out[SETTING_TEXT_LEN]);

#endif
