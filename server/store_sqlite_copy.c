/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite engine's copies: a copied database becomes a device of its own (R23).
 */
#include "store_sqlite.h"

#include "copy.h"

int sqlite_read_tokens(struct sqlite_conn *conn, const struct record_uuid *device_id,
                       struct token_pair *tokens_out)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT token, token_previous FROM device WHERE device_id = ?1");

    *tokens_out = (struct token_pair){0};
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, device_id);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        sqlite_column_copy(statement, 0, tokens_out->present, TOKEN_LEN);
        sqlite_column_copy(statement, 1, tokens_out->previous, TOKEN_LEN);
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* The device that has the key, the asking one's copy first; zeros: none. */
static int read_key_owner(struct sqlite_conn *conn, const struct store_device *asked,
                          struct record_uuid *owner_out)
{
    sqlite3_stmt *statement =
        sqlite_conn_statement(conn, "SELECT device_id FROM device WHERE public_key = ?1"
                                    " ORDER BY copied_from = ?2 DESC LIMIT 1");

    *owner_out = (struct record_uuid){{0}};
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_bytes(statement, 1, asked->public_key, asked->public_key_len);
    sqlite_bind_uuid(statement, 2, &asked->copied_from);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *owner_out = sqlite_column_uuid(statement, 0);
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* All copies of the enrolled device that this one comes from, copies of copies too. */
static int count_copies(struct sqlite_conn *conn, const struct record_uuid *device_id,
                        size_t *count_out)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "WITH RECURSIVE above(id, copied_from) AS ("
              " SELECT device_id, copied_from FROM device WHERE device_id = ?1"
              " UNION SELECT d.device_id, d.copied_from FROM above a"
              " JOIN device d ON d.device_id = a.copied_from),"
              " copy(id) AS ("
              " SELECT d.device_id FROM above a JOIN device d ON d.copied_from = a.id"
              " WHERE length(a.copied_from) = 0"
              " UNION SELECT d.device_id FROM copy c JOIN device d ON d.copied_from = c.id)"
              " SELECT count(*) FROM copy");

    *count_out = STORE_COPIES_MAX;
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, device_id);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *count_out = (size_t)sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

int sqlite_copy_settings(struct sqlite_conn *conn, const struct store_device *copy)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "INSERT INTO setting(level, id, name, value)"
              " SELECT level, ?3, name, value FROM setting WHERE level = ?1 AND id = ?2");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite3_bind_int(statement, 1, STORE_SETTING_DEVICE);
    sqlite_bind_uuid(statement, 2, &copy->copied_from);
    sqlite_bind_uuid(statement, 3, &copy->device_id);
    return sqlite_conn_run(statement);
}

int sqlite_recertify(struct sqlite_conn *conn, struct store_recertify *recertify)
{
    const struct record_uuid asking_id = recertify->device.copied_from;
    struct store_device asking, owner;
    struct copy_facts facts = {0};
    struct record_uuid owner_id;
    bool asking_known, owner_known, made = false;
    int code = sqlite_read_device(conn, &asking_id, &asking, &asking_known);

    if (code == SQLITE_OK)
        code = read_key_owner(conn, &recertify->device, &owner_id);
    if (code == SQLITE_OK)
        code = sqlite_read_device(conn, &owner_id, &owner, &owner_known);
    if (code == SQLITE_OK)
        code = sqlite_read_tokens(conn, &asking_id, &facts.tokens);
    if (code == SQLITE_OK)
        code = count_copies(conn, &asking_id, &facts.copies);
    if (code != SQLITE_OK)
        return code;
    facts.asking = asking_known ? &asking : NULL;
    facts.owner = owner_known ? &owner : NULL;
    copy_decide(recertify, &facts, &made);
    if (made)
        code = sqlite_write_device(conn, &recertify->device);
    return made && code == SQLITE_OK ? sqlite_copy_settings(conn, &recertify->device) : code;
}
