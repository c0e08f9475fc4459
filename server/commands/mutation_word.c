/* SPDX-License-Identifier: Apache-2.0 */
#include "mutation_word.h"

#include "account.h"

#include <stdio.h>

enum { DIGITS = 2 * RECORD_MUTATION_ID_LEN };

struct store_mutation_range mutation_word_all(const struct command *command)
{
    struct store_mutation_range range = {.closed_too = command->line->all};

    memset(range.last.bytes, 0xff, sizeof range.last.bytes);
    return range;
}

static int digit_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

struct rpc_status mutation_word_take(const struct command *command, struct mutation_word *word_out)
{
    const char *text = command_word(command, 1);
    size_t len = text != NULL ? strlen(text) : 0;

    *word_out = (struct mutation_word){.range = {.closed_too = true}};
    memset(word_out->range.last.bytes, 0xff, RECORD_MUTATION_ID_LEN);
    if (len == 0)
        return command_usage("ID is missing: a mutation id, or the beginning of one");
    for (size_t i = 0; i < len; i++) {
        int value = i < DIGITS ? digit_value(text[i]) : -1;
        unsigned shift = i % 2 == 0 ? 4 : 0;
        if (value < 0)
            return command_usage("\"%.40s\" is no mutation id: up to 32 hexadecimal digits", text);
        word_out->range.first.bytes[i / 2] |= (uint8_t)(value << shift);
        word_out->range.last.bytes[i / 2] &= (uint8_t) ~((0xf & ~value) << shift);
    }
    if (command->line->region == NULL)
        return rpc_status_ok();
    word_out->range.region_id = &word_out->region_id;
    return command_parse_id("--region", command->line->region, &word_out->region_id);
}

struct rpc_status mutation_word_unique(const struct command *command, const char *what,
                                       size_t count)
{
    const char *text = command_word(command, 1);

    if (count == 0)
        return rpc_status_make(RPC_NOT_FOUND, "there is no %s %s: see outpostd %s list", what, text,
                               what);
    if (count > 1)
        return rpc_status_make(RPC_INVALID_ARGUMENT,
                               "%s is the beginning of several ids: give more digits, or the"
                               " entry's --region",
                               text);
    return rpc_status_ok();
}

struct store_review mutation_word_review(const struct record_uuid *region_id,
                                         const struct record_mutation_id *mutation_id)
{
    struct store_review review = {
        .region_id = *region_id,
        .mutation_id = *mutation_id,
        .now_ms = command_time_ms(),
    };

    account_name(review.account);
    return review;
}

json_t *mutation_word_json(const struct record_mutation_id *id)
{
    char text[DIGITS + 1];

    for (size_t i = 0; i < RECORD_MUTATION_ID_LEN; i++)
        snprintf(text + 2 * i, 3, "%02x", id->bytes[i]);
    return json_string(text);
}

void mutation_word_add_closed(json_t *row, const char *name, const struct store_closed *closed)
{
    char key[32];

    snprintf(key, sizeof key, "%s_at_ms", name);
    json_object_set_new(row, key, json_integer((json_int_t)closed->at_ms));
    snprintf(key, sizeof key, "%s_by", name);
    json_object_set_new(row, key,
                        json_stringn((const char *)closed->account.data, closed->account.len));
}
