/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine's copies: a copied database becomes a device of its own (R23).
 */
#include "store_postgres.h"

#include "copy.h"

enum postgres_code postgres_read_tokens(struct postgres_conn *conn,
                                        const struct record_uuid *device_id,
                                        struct token_pair *tokens_out)
{
    const PGresult *result;

    *tokens_out = (struct token_pair){0};
    postgres_query(conn, "SELECT token, token_previous FROM device WHERE device_id = $1");
    postgres_put_uuid(conn, device_id);
    enum postgres_code code = postgres_ask(conn, &result);
    if (code == POSTGRES_OK && postgres_row_count(result) == 1) {
        postgres_copy(result, 0, 0, tokens_out->present, TOKEN_LEN);
        postgres_copy(result, 0, 1, tokens_out->previous, TOKEN_LEN);
    }
    return code;
}

/* The device that has the key, the asking one's copy first; zeros: none. */
static enum postgres_code read_key_owner(struct postgres_conn *conn,
                                         const struct store_device *asked,
                                         struct record_uuid *owner_out)
{
    const PGresult *result;

    *owner_out = (struct record_uuid){{0}};
    postgres_query(conn, "SELECT device_id FROM device WHERE public_key = $1"
                         " ORDER BY copied_from = $2 DESC LIMIT 1");
    postgres_put_bytes(conn, asked->public_key, asked->public_key_len);
    postgres_put_bytes(conn, asked->copied_from.bytes, RECORD_UUID_LEN);
    enum postgres_code code = postgres_ask(conn, &result);
    if (code == POSTGRES_OK && postgres_row_count(result) == 1)
        *owner_out = postgres_uuid(result, 0, 0);
    return code;
}

/* All copies of the enrolled device that this one comes from, copies of copies too. */
static enum postgres_code count_copies(struct postgres_conn *conn,
                                       const struct record_uuid *device_id, size_t *count_out)
{
    const PGresult *result;

    postgres_query(conn, "WITH RECURSIVE above(id, copied_from) AS ("
                         " SELECT device_id, copied_from FROM device WHERE device_id = $1"
                         " UNION SELECT d.device_id, d.copied_from FROM above a"
                         " JOIN device d ON uuid_send(d.device_id) = a.copied_from),"
                         " copy(id) AS ("
                         " SELECT d.device_id FROM above a JOIN device d"
                         " ON d.copied_from = uuid_send(a.id) WHERE length(a.copied_from) = 0"
                         " UNION SELECT d.device_id FROM copy c JOIN device d"
                         " ON d.copied_from = uuid_send(c.id))"
                         " SELECT count(*) FROM copy");
    postgres_put_uuid(conn, device_id);
    enum postgres_code code = postgres_ask(conn, &result);
    *count_out = code == POSTGRES_OK ? postgres_u64(result, 0, 0) : STORE_COPIES_MAX;
    return code;
}

enum postgres_code postgres_copy_settings(struct postgres_conn *conn,
                                          const struct store_device *copy)
{
    postgres_query(conn, "INSERT INTO setting(level, id, name, value)"
                         " SELECT level, $3, name, value FROM setting WHERE level = $1 AND id = $2"
                         " ON CONFLICT (level, id, name) DO NOTHING");
    postgres_put_int(conn, STORE_SETTING_DEVICE);
    postgres_put_uuid(conn, &copy->copied_from);
    postgres_put_uuid(conn, &copy->device_id);
    return postgres_change(conn);
}

/* The enrolled device's row is locked first: two copies that ask at once are counted
 * one after the other. */
static enum postgres_code read_facts(struct postgres_conn *conn, struct store_recertify *recertify,
                                     struct store_device *asking, struct store_device *owner,
                                     struct copy_facts *facts)
{
    const struct record_uuid asking_id = recertify->device.copied_from;
    struct record_uuid owner_id;
    bool asking_known, owner_known;

    postgres_query(conn, "SELECT 1 FROM device WHERE device_id = $1 FOR UPDATE");
    postgres_put_uuid(conn, &asking_id);
    enum postgres_code code = postgres_change(conn);
    if (code == POSTGRES_OK)
        code = postgres_read_device(conn, &asking_id, asking, &asking_known);
    if (code == POSTGRES_OK)
        code = read_key_owner(conn, &recertify->device, &owner_id);
    if (code == POSTGRES_OK)
        code = postgres_read_device(conn, &owner_id, owner, &owner_known);
    if (code == POSTGRES_OK)
        code = postgres_read_tokens(conn, &asking_id, &facts->tokens);
    if (code == POSTGRES_OK)
        code = count_copies(conn, &asking_id, &facts->copies);
    if (code == POSTGRES_OK) {
        facts->asking = asking_known ? asking : NULL;
        facts->owner = owner_known ? owner : NULL;
    }
    return code;
}

enum postgres_code postgres_recertify(struct postgres_conn *conn, struct store_recertify *recertify)
{
    struct store_device asking, owner;
    struct copy_facts facts = {0};
    bool made = false;
    enum postgres_code code = read_facts(conn, recertify, &asking, &owner, &facts);

    if (code != POSTGRES_OK)
        return code;
    copy_decide(recertify, &facts, &made);
    if (made)
        code = postgres_write_device(conn, &recertify->device);
    return made && code == POSTGRES_OK ? postgres_copy_settings(conn, &recertify->device) : code;
}
