/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include "peek.h"

enum {
    RESPONSE_WELCOME = 1,
    RESPONSE_PUSH_RESULT = 2,
    RESPONSE_PULL = 3,
    WELCOME_REGIONS = 2,
    WELCOME_RESEND_ACKNOWLEDGED = 7,
    TOTAL_RESET = 4,
    RESULT_ANSWERS = 1,
    ANSWER_RECORD = 4,
    PULL_RECORDS = 1,
    RECORD_FAMILY = 1,
};

bool watch_open(struct watch *watch, const char *path)
{
    *watch =
        (struct watch){.leaks = watch->leaks, .resets = watch->resets, .resends = watch->resends};
    return sqlite3_open(path, &watch->db) == SQLITE_OK &&
           sqlite3_prepare_v2(watch->db, "SELECT last_seq FROM sync_region WHERE region_id = ?1",
                              -1, &watch->head, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(watch->db,
                              "SELECT NOT EXISTS (SELECT 1 FROM family WHERE family_id = ?1 AND"
                              " region_id = ?2) AND NOT EXISTS (SELECT 1 FROM change_log WHERE"
                              " region_id = ?2 AND seq > ?3 AND kind = 2 AND family_id = ?1)",
                              -1, &watch->leak, NULL) == SQLITE_OK;
}

void watch_close(struct watch *watch)
{
    sqlite3_finalize(watch->head);
    sqlite3_finalize(watch->leak);
    sqlite3_close(watch->db);
    *watch =
        (struct watch){.leaks = watch->leaks, .resets = watch->resets, .resends = watch->resends};
}

uint64_t watch_head(struct watch *watch, const struct record_uuid *region_id)
{
    uint64_t head = 0;

    sqlite3_bind_blob(watch->head, 1, region_id->bytes, RECORD_UUID_LEN, SQLITE_STATIC);
    if (sqlite3_step(watch->head) == SQLITE_ROW)
        head = (uint64_t)sqlite3_column_int64(watch->head, 0);
    sqlite3_reset(watch->head);
    return head;
}

static void look(struct watch *watch, const struct record_uuid *region_id, uint64_t asked_at,
                 const struct peek_field *record)
{
    struct peek_field family;

    if (!peek_find(record->data, record->len, RECORD_FAMILY, &family) ||
        family.len != RECORD_UUID_LEN)
        return; /* a global record is everybody's */
    sqlite3_bind_blob(watch->leak, 1, family.data, RECORD_UUID_LEN, SQLITE_STATIC);
    sqlite3_bind_blob(watch->leak, 2, region_id->bytes, RECORD_UUID_LEN, SQLITE_STATIC);
    sqlite3_bind_int64(watch->leak, 3, (sqlite3_int64)asked_at);
    if (sqlite3_step(watch->leak) == SQLITE_ROW && sqlite3_column_int(watch->leak, 0) != 0)
        watch->leaks++;
    sqlite3_reset(watch->leak);
}

static void look_at_welcome(struct watch *watch, const struct peek_field *welcome)
{
    struct peek peek = peek_over(welcome->data, welcome->len);
    struct peek_field field, reset;
    bool resets = false;

    while (peek_next(&peek, &field)) {
        if (field.number == WELCOME_REGIONS)
            resets =
                resets || (peek_find(field.data, field.len, TOTAL_RESET, &reset) && reset.value);
        else if (field.number == WELCOME_RESEND_ACKNOWLEDGED)
            watch->resends += field.value != 0;
    }
    watch->resets += resets;
}

void watch_response(struct watch *watch, const struct record_uuid *region_id, uint64_t asked_at,
                    struct rpc_bytes message)
{
    struct peek_field inner, field, record;

    if (peek_find(message.data, message.len, RESPONSE_WELCOME, &inner))
        look_at_welcome(watch, &inner);
    bool answers = peek_find(message.data, message.len, RESPONSE_PUSH_RESULT, &inner);

    if (watch->db == NULL ||
        (!answers && !peek_find(message.data, message.len, RESPONSE_PULL, &inner)))
        return;
    struct peek peek = peek_over(inner.data, inner.len);
    while (peek_next(&peek, &field)) {
        if (answers && field.number == RESULT_ANSWERS &&
            peek_find(field.data, field.len, ANSWER_RECORD, &record))
            look(watch, region_id, asked_at, &record);
        else if (!answers && field.number == PULL_RECORDS)
            look(watch, region_id, asked_at, &field);
    }
}
