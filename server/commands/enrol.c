/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd enrol: makes one-time codes. A code itself is printed and never
 * stored; the store keeps the hash of its secret part.
 */
#include "command.h"

#include "code.h"

#include <stdlib.h>

static struct rpc_status take_regions(const struct command_line *line, struct store_code_add *add)
{
    struct rpc_status status = rpc_status_ok();

    for (size_t i = 0; i < line->region_count && rpc_ok(&status); i++)
        status = command_parse_id("--region R", line->every_region[i],
                                  &add->regions[add->region_count++]);
    return status;
}

enum {
    /* Codes at once: protects the selectors, of which there are a million, from being
     * used up by codes that nobody has used yet. */
    CODES_MAX = 1000,
};

/* What a code selects must be its own, or it would put out an earlier one of this call. */
static bool is_selected(char (*selectors)[STORE_CODE_SELECTOR_LEN], size_t count,
                        const struct code *code)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(selectors[i], code->selector, sizeof code->selector) == 0)
            return true;
    return false;
}

static struct code draw_code(struct command *command, char (*selectors)[STORE_CODE_SELECTOR_LEN],
                             size_t count, char text_out[CODE_TEXT_LEN + 1])
{
    uint8_t random[CODE_SYMBOLS];
    struct code code;

    do {
        command_random(random, sizeof random);
        code = code_make(random, command->hasher, text_out);
    } while (is_selected(selectors, count, &code));
    memcpy(selectors[count], code.selector, sizeof code.selector);
    return code;
}

static struct rpc_status add_code(struct command *command, struct store_code_add *add,
                                  const struct code *code)
{
    memcpy(add->selector, code->selector, sizeof add->selector);
    memcpy(add->secret_hash, code->secret_hash, sizeof add->secret_hash);
    struct rpc_status status = command_run(command, &add->request, STORE_CODE_ADD);
    if (rpc_ok(&status) && !add->facility_known)
        return rpc_status_make(RPC_NOT_FOUND,
                               "facility %s is not known: see outpostd facility list",
                               command->line->facility);
    if (rpc_ok(&status) && add->facility_closed)
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "facility %s is closed: no device enrols there",
                               command->line->facility);
    if (rpc_ok(&status) && !add->regions_known)
        return rpc_status_make(RPC_NOT_FOUND,
                               "a region of --region is not known: see outpostd region list");
    return status;
}

static struct rpc_status take_count(const char *text, size_t *count_out)
{
    char *end = NULL;
    unsigned long count = text != NULL ? strtoul(text, &end, 10) : 1;

    if (count < 1 || count > CODES_MAX || (end != NULL && *end != '\0'))
        return command_usage("--count N must be 1 to %d", CODES_MAX);
    *count_out = count;
    return rpc_status_ok();
}

struct rpc_status command_enrol(struct command *command)
{
    static char selectors[CODES_MAX][STORE_CODE_SELECTOR_LEN];
    struct store_code_add add = {.admin = command->line->admin};
    char text[CODE_TEXT_LEN + 1];
    size_t count = 1;
    struct rpc_status status =
        command_parse_id("--facility ID", command->line->facility, &add.facility_id);

    if (rpc_ok(&status))
        status = take_regions(command->line, &add);
    if (rpc_ok(&status))
        status = take_count(command->line->count, &count);
    add.now_ms = command_time_ms();
    add.expires_at_ms = add.now_ms + CODE_VALID_MS;
    json_t *codes = json_array();
    for (size_t i = 0; i < count && rpc_ok(&status); i++) {
        struct code code = draw_code(command, selectors, i, text);
        status = add_code(command, &add, &code);
        json_array_append_new(codes, json_string(text));
    }
    if (!rpc_ok(&status)) {
        json_decref(codes);
        return status;
    }
    command->plain = command->line->count != NULL ? "codes" : "code";
    if (command->line->count == NULL) {
        json_object_set_new(command->result, "code", json_string(text));
        json_decref(codes);
    } else {
        json_object_set_new(command->result, "codes", codes);
    }
    json_object_set_new(command->result, "facility_id", json_string(command->line->facility));
    json_object_set_new(command->result, "admin", json_boolean(add.admin));
    json_object_set_new(command->result, "expires_at_ms", json_integer(add.expires_at_ms));
    return status;
}
