/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine's enrolment codes, and how one becomes a device.
 */
#include "store_postgres.h"

#include <openssl/crypto.h>

enum postgres_code postgres_code_add(struct postgres_conn *conn, const struct scope_roles *roles,
                                     struct store_code_add *add)
{
    struct record_uuid region;
    enum postgres_code code =
        postgres_region_of_facility(conn, roles, &add->facility_id, &region, &add->facility_closed);

    add->facility_known = code == POSTGRES_OK;
    add->regions_known = true;
    if (code == POSTGRES_ABSENT || (code == POSTGRES_OK && add->facility_closed))
        return POSTGRES_OK;
    for (size_t i = 0; i < add->region_count && code == POSTGRES_OK && add->regions_known; i++)
        code = postgres_region_known(conn, roles, &add->regions[i], &add->regions_known);
    if (code != POSTGRES_OK || !add->regions_known)
        return code;
    postgres_query(conn,
                   "INSERT INTO enrolment(selector, secret_hash, facility_id, admin,"
                   " expires_at_ms, tries_left, region_ids) VALUES ($1, $2, $3, $4, $5, $6, $7)"
                   " ON CONFLICT (selector) DO UPDATE SET secret_hash = excluded.secret_hash,"
                   " facility_id = excluded.facility_id, admin = excluded.admin,"
                   " expires_at_ms = excluded.expires_at_ms,"
                   " tries_left = excluded.tries_left,"
                   " region_ids = excluded.region_ids, used_by = ''");
    postgres_put_text(conn, add->selector, STORE_CODE_SELECTOR_LEN);
    postgres_put_bytes(conn, add->secret_hash, STORE_CODE_HASH_LEN);
    postgres_put_uuid(conn, &add->facility_id);
    postgres_put_bool(conn, add->admin);
    postgres_put_u64(conn, (uint64_t)add->expires_at_ms);
    postgres_put_int(conn, STORE_CODE_TRIES);
    postgres_put_bytes(conn, add->regions, add->region_count * sizeof add->regions[0]);
    return postgres_change(conn);
}

/* The regions that the code carries: ids of 16 bytes, one behind the other. */
static void take_regions(struct rpc_bytes ids, struct scope_rights *rights)
{
    struct record_uuid id;
    size_t at = 0;

    while (at + RECORD_UUID_LEN <= ids.len &&
           record_uuid_from_bytes(rpc_bytes_view(ids.data + at, RECORD_UUID_LEN), &id) &&
           scope_rights_set(rights, &id, true))
        at += RECORD_UUID_LEN;
}

/* The enrolment region needs no right beside it. */
static void drop_home(struct scope_rights *rights, const struct record_uuid *home)
{
    for (size_t i = 0; i < rights->count; i++)
        if (record_uuid_compare(&rights->rights[i].region, home) == 0)
            rights->rights[i--] = rights->rights[--rights->count];
}

/* The code's row is locked: two devices with one code meet here. */
static enum postgres_code read_code(struct postgres_conn *conn, struct store_enrol *enrol)
{
    struct store_device *device = &enrol->device;
    const PGresult *result;
    uint8_t hash[STORE_CODE_HASH_LEN];

    enrol->verdict = STORE_CODE_WRONG;
    postgres_query(conn,
                   "SELECT secret_hash, facility_id, admin, expires_at_ms, tries_left,"
                   " length(used_by), region_ids FROM enrolment WHERE selector = $1 FOR UPDATE");
    postgres_put_text(conn, enrol->selector, STORE_CODE_SELECTOR_LEN);
    enum postgres_code code = postgres_ask(conn, &result);
    if (code != POSTGRES_OK || postgres_row_count(result) == 0)
        return code;
    postgres_copy(result, 0, 0, hash, sizeof hash);
    device->facility_id = postgres_uuid(result, 0, 1);
    device->admin = postgres_bool(result, 0, 2);
    device->standing.rights.count = 0; /* of an earlier try */
    take_regions(postgres_bytes(result, 0, 6), &device->standing.rights);
    /* Dead before wrong: after the last try the right secret is no help. */
    if (postgres_int(result, 0, 4) <= 0)
        enrol->verdict = STORE_CODE_DEAD;
    else if (CRYPTO_memcmp(hash, enrol->secret_hash, sizeof hash) != 0)
        enrol->verdict = STORE_CODE_WRONG;
    else if (postgres_int(result, 0, 5) > 0)
        enrol->verdict = STORE_CODE_USED;
    else if ((int64_t)postgres_u64(result, 0, 3) < device->enrolled_at_ms)
        enrol->verdict = STORE_CODE_EXPIRED;
    else
        enrol->verdict = STORE_CODE_GOOD;
    return POSTGRES_OK;
}

static enum postgres_code count_wrong_secret(struct postgres_conn *conn,
                                             const struct store_enrol *enrol)
{
    postgres_query(conn, "UPDATE enrolment SET tries_left = tries_left - 1 WHERE selector = $1");
    postgres_put_text(conn, enrol->selector, STORE_CODE_SELECTOR_LEN);
    return postgres_change(conn);
}

static enum postgres_code use_code(struct postgres_conn *conn, const struct store_enrol *enrol)
{
    postgres_query(conn, "UPDATE enrolment SET used_by = $2 WHERE selector = $1");
    postgres_put_text(conn, enrol->selector, STORE_CODE_SELECTOR_LEN);
    postgres_put_bytes(conn, enrol->device.device_id.bytes, RECORD_UUID_LEN);
    enum postgres_code code = postgres_change(conn);
    return code == POSTGRES_OK ? postgres_write_device(conn, &enrol->device) : code;
}

enum postgres_code postgres_enrol(struct postgres_conn *conn, const struct scope_roles *roles,
                                  struct store_enrol *enrol)
{
    struct store_device *device = &enrol->device;
    bool closed = false;
    enum postgres_code code = read_code(conn, enrol);

    if (code != POSTGRES_OK)
        return code;
    if (enrol->verdict == STORE_CODE_WRONG)
        return count_wrong_secret(conn, enrol);
    if (enrol->verdict != STORE_CODE_GOOD)
        return POSTGRES_OK;
    code = postgres_region_of_facility(conn, roles, &device->facility_id, &device->enrolment_region,
                                       &closed);
    drop_home(&device->standing.rights, &device->enrolment_region);
    if (closed)
        enrol->verdict = STORE_CODE_FACILITY_CLOSED;
    return code == POSTGRES_OK && !closed ? use_code(conn, enrol) : code;
}
