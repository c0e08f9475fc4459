/* SPDX-License-Identifier: Apache-2.0 */
#include "enrolled.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uthash.h>

static const char file_name[] = "enrolments.jsonl";

static void put_id(json_t *line, const char *name, const struct record_uuid *id)
{
    char text[RECORD_UUID_TEXT_LEN + 1];

    record_uuid_format(id, text);
    json_object_set_new(line, name, json_string(text));
}

/* Takes the line. One write, so that two processes' lines never mix. */
static struct rpc_status append(const struct config *config, json_t *line)
{
    char path[CONFIG_PATH_LEN];
    char *text = json_dumps(line, JSON_COMPACT);
    bool good = false;

    json_decref(line);
    config_path(config, file_name, path);
    int descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (descriptor >= 0 && text != NULL) {
        size_t len = strlen(text);
        text[len] = '\n'; /* in the place of the NUL: the text is not used as one again */
        good = write(descriptor, text, len + 1) == (ssize_t)(len + 1) && fsync(descriptor) == 0;
    }
    int problem = errno;
    if (descriptor >= 0)
        close(descriptor);
    free(text);
    return good ? rpc_status_ok()
                : rpc_status_make(RPC_RESOURCE_EXHAUSTED, "write %s: %s", path, strerror(problem));
}

static json_t *rights_json(const struct scope_rights *rights)
{
    json_t *list = json_array();

    for (size_t i = 0; i < rights->count; i++) {
        json_t *right = json_object();
        put_id(right, "region_id", &rights->rights[i].region);
        json_object_set_new(right, "allowed", json_boolean(rights->rights[i].allowed));
        json_array_append_new(list, right);
    }
    return list;
}

static void put_key(json_t *line, const struct store_device *device)
{
    char text[2 * STORE_PUBLIC_KEY_BYTES_MAX + 1] = "";

    for (size_t i = 0; i < device->public_key_len; i++)
        snprintf(text + 2 * i, 3, "%02x", device->public_key[i]);
    json_object_set_new(line, "public_key", json_string(text));
}

struct rpc_status enrolled_note(void *context, const struct store_note *note)
{
    const struct store_device *device = note->device;
    const struct standing *standing = &device->standing;
    json_t *line = json_object();

    put_id(line, "device_id", &device->device_id);
    put_id(line, "enrolment_region_id", &device->enrolment_region);
    put_id(line, "facility_id", &device->facility_id);
    if (!record_uuid_is_zero(&device->copied_from))
        put_id(line, "copied_from", &device->copied_from);
    json_object_set_new(line, "admin", json_boolean(device->admin));
    json_object_set_new(line, "enrolled_at_ms", json_integer(device->enrolled_at_ms));
    put_key(line, device);
    if (note->selector != NULL)
        json_object_set_new(line, "code", json_stringn(note->selector, STORE_CODE_SELECTOR_LEN));
    json_object_set_new(line, "version", json_integer((json_int_t)standing->version));
    json_object_set_new(line, "revoked", json_boolean(standing->revoked));
    json_object_set_new(line, "regions", rights_json(&standing->rights));
    json_object_set_new(line, "wipe_ordered_at_ms", json_integer(standing->wipe_ordered_at_ms));
    json_object_set_new(line, "wiped_at_ms", json_integer(standing->wiped_at_ms));
    return append(context, line);
}

/* ---- Replay ----------------------------------------------------------------- */

/* The latest that the file says of one device. */
struct enrolled {
    struct store_device_add add;
    UT_hash_handle hh;
};

static bool get_id(const json_t *line, const char *name, struct record_uuid *id_out)
{
    const char *text = json_string_value(json_object_get(line, name));

    return text != NULL && record_uuid_parse(text, id_out);
}

static int64_t get_number(const json_t *line, const char *name)
{
    return json_integer_value(json_object_get(line, name));
}

static void get_key(const json_t *line, struct store_device *device)
{
    const char *text = json_string_value(json_object_get(line, "public_key"));
    size_t len = text != NULL ? strlen(text) / 2 : 0;
    unsigned byte;

    if (len > sizeof device->public_key)
        return;
    for (size_t i = 0; i < len && sscanf(text + 2 * i, "%2x", &byte) == 1; i++)
        device->public_key[device->public_key_len++] = (uint8_t)byte;
}

static void get_standing(const json_t *line, struct standing *standing)
{
    const json_t *right;
    struct record_uuid region;
    size_t index;

    standing->version = (uint64_t)get_number(line, "version");
    standing->revoked = json_is_true(json_object_get(line, "revoked"));
    standing->wipe_ordered_at_ms = get_number(line, "wipe_ordered_at_ms");
    standing->wiped_at_ms = get_number(line, "wiped_at_ms");
    json_array_foreach(json_object_get(line, "regions"), index, right)
    {
        bool allowed = json_is_true(json_object_get(right, "allowed"));
        if (!get_id(right, "region_id", &region) ||
            !scope_rights_set(&standing->rights, &region, allowed))
            break;
    }
}

/* False: the line is not of a device. */
static bool get_device(const json_t *line, struct store_device *device)
{
    *device = (struct store_device){.admin = json_is_true(json_object_get(line, "admin")),
                                    .enrolled_at_ms = get_number(line, "enrolled_at_ms")};
    get_key(line, device);
    get_id(line, "copied_from", &device->copied_from);
    get_standing(line, &device->standing);
    return get_id(line, "device_id", &device->device_id) &&
           get_id(line, "enrolment_region_id", &device->enrolment_region) &&
           get_id(line, "facility_id", &device->facility_id);
}

static struct enrolled *add_device(struct enrolled **devices, const struct store_device *device)
{
    struct enrolled *known = calloc(1, sizeof *known);

    if (known == NULL)
        return NULL;
    known->add.device = *device;
    HASH_ADD(hh, *devices, add.device.device_id, sizeof device->device_id, known);
    if (known->hh.tbl != NULL)
        return known;
    free(known);
    return NULL;
}

/* Takes what is news in the line. False: no memory. */
static bool take_line(struct enrolled **devices, const char *text)
{
    json_t *line = json_loads(text, 0, NULL);
    const char *selector = json_string_value(json_object_get(line, "code"));
    struct enrolled *known = NULL;
    struct store_device device;
    bool good = true;

    if (get_device(line, &device)) {
        HASH_FIND(hh, *devices, &device.device_id, sizeof device.device_id, known);
        if (known == NULL) {
            known = add_device(devices, &device);
            good = known != NULL;
        } else if (device.standing.version >= known->add.device.standing.version) {
            known->add.device = device;
        }
        if (good && selector != NULL && strlen(selector) == sizeof known->add.selector)
            memcpy(known->add.selector, selector, sizeof known->add.selector);
    }
    json_decref(line);
    return good;
}

/* Only the latest of each device is given to the store: another process may be
 * serving from it, and must not see a wipe that was taken back. */
static struct rpc_status give(struct store *store, struct enrolled **devices)
{
    struct rpc_status status = rpc_status_ok();
    struct enrolled *enrolled, *next;

    HASH_ITER(hh, *devices, enrolled, next)
    {
        HASH_DEL(*devices, enrolled);
        enrolled->add.request.kind = STORE_DEVICE_ADD;
        if (rpc_ok(&status))
            status = store_run(store, &enrolled->add.request);
        free(enrolled);
    }
    return status;
}

struct rpc_status enrolled_replay(const struct config *config, struct store *store)
{
    char path[CONFIG_PATH_LEN];
    struct enrolled *devices = NULL;
    char *text = NULL;
    size_t room = 0;
    bool good = true;

    config_path(config, file_name, path);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return errno == ENOENT
                   ? rpc_status_ok()
                   : rpc_status_make(RPC_RESOURCE_EXHAUSTED, "read %s: %s", path, strerror(errno));
    while (good && getline(&text, &room, file) > 0)
        good = take_line(&devices, text);
    free(text);
    fclose(file);
    struct rpc_status status = give(store, &devices);
    return good ? status : rpc_status_make(RPC_UNAVAILABLE, "read %s: out of memory", path);
}
