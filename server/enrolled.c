/* SPDX-License-Identifier: Apache-2.0 */
#include "enrolled.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

struct rpc_status enrolled_note_device(const struct config *config,
                                       const struct store_device_add *add)
{
    json_t *line = json_object();

    put_id(line, "device_id", &add->device.device_id);
    put_id(line, "enrolment_region_id", &add->device.enrolment_region);
    put_id(line, "facility_id", &add->device.facility_id);
    json_object_set_new(line, "admin", json_boolean(add->device.admin));
    json_object_set_new(line, "enrolled_at_ms",
                        json_integer((json_int_t)add->device.enrolled_at_ms));
    json_object_set_new(line, "code", json_stringn(add->selector, sizeof add->selector));
    return append(config, line);
}

struct rpc_status enrolled_note_state(const struct config *config,
                                      const struct record_uuid *device_id,
                                      enum store_device_state state)
{
    json_t *line = json_object();

    put_id(line, "device_id", device_id);
    json_object_set_new(line, "state", json_integer(state));
    return append(config, line);
}

/* ---- Replay ----------------------------------------------------------------- */

static bool get_id(const json_t *line, const char *name, struct record_uuid *id_out)
{
    const char *text = json_string_value(json_object_get(line, name));

    return text != NULL && record_uuid_parse(text, id_out);
}

static struct rpc_status replay_device(struct store *store, const json_t *line,
                                       const struct record_uuid *device_id)
{
    struct store_device_add add = {.request = {.kind = STORE_DEVICE_ADD},
                                   .device = {.device_id = *device_id}};
    const char *selector = json_string_value(json_object_get(line, "code"));

    if (!get_id(line, "enrolment_region_id", &add.device.enrolment_region) ||
        !get_id(line, "facility_id", &add.device.facility_id))
        return rpc_status_ok();
    add.device.admin = json_is_true(json_object_get(line, "admin"));
    add.device.enrolled_at_ms = json_integer_value(json_object_get(line, "enrolled_at_ms"));
    if (selector != NULL && strlen(selector) == sizeof add.selector)
        memcpy(add.selector, selector, sizeof add.selector);
    return store_run(store, &add.request);
}

static struct rpc_status replay_line(struct store *store, const char *text)
{
    json_t *line = json_loads(text, 0, NULL);
    const json_t *state = json_object_get(line, "state");
    struct rpc_status status = rpc_status_ok();
    struct record_uuid device_id;

    if (get_id(line, "device_id", &device_id)) {
        struct store_device_set set = {
            .request = {.kind = STORE_DEVICE_SET},
            .device_id = device_id,
            .state = (enum store_device_state)json_integer_value(state),
        };
        status =
            state != NULL ? store_run(store, &set.request) : replay_device(store, line, &device_id);
    }
    json_decref(line);
    return status;
}

struct rpc_status enrolled_replay(const struct config *config, struct store *store)
{
    char path[CONFIG_PATH_LEN];
    struct rpc_status status = rpc_status_ok();
    char *text = NULL;
    size_t room = 0;

    config_path(config, file_name, path);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return errno == ENOENT
                   ? rpc_status_ok()
                   : rpc_status_make(RPC_RESOURCE_EXHAUSTED, "read %s: %s", path, strerror(errno));
    while (rpc_ok(&status) && getline(&text, &room, file) > 0)
        status = replay_line(store, text);
    free(text);
    fclose(file);
    return status;
}
