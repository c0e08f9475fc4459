/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of a migration of the PostgreSQL store that SQL cannot do: the sum of each
 * record type in each region. Outside of pipelines; rows come one by one.
 */
#include "store_postgres.h"

static enum postgres_code write_types(struct postgres_conn *conn, const struct record_uuid *region,
                                      const struct type_sums *types)
{
    uint8_t bytes[TYPE_SUMS_MAX * TYPE_SUM_LEN];
    const char *values[] = {(const char *)region->bytes, (const char *)bytes};
    const int lens[] = {RECORD_UUID_LEN, (int)type_sums_encode(types, bytes)};
    const int formats[] = {1, 1};
    PGresult *result =
        PQexecParams(conn->pg, "UPDATE sync_region SET type_sums = $2 WHERE region_id = $1", 2,
                     NULL, values, lens, formats, 1);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;

    PQclear(result);
    return good ? POSTGRES_OK : POSTGRES_FAILED;
}

/* The records of one region. */
static enum postgres_code count(struct postgres_conn *conn, const struct record_uuid *region,
                                struct type_sums *types)
{
    const char *values[] = {(const char *)region->bytes};
    const int lens[] = {RECORD_UUID_LEN}, formats[] = {1};
    PGresult *result;
    bool good = PQsendQueryParams(conn->pg,
                                  "SELECT type, id, stamp FROM record WHERE region_id = $1"
                                  " AND NOT deleted",
                                  1, NULL, values, lens, formats, 1) == 1 &&
                PQsetSingleRowMode(conn->pg) == 1;

    types->count = 0;
    while ((result = PQgetResult(conn->pg)) != NULL) {
        ExecStatusType status = PQresultStatus(result);
        good = good && (status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK);
        for (size_t row = 0; good && row < postgres_row_count(result); row++) {
            uint32_t type = (uint32_t)postgres_int(result, row, 0);
            struct record_uuid id = postgres_uuid(result, row, 1);
            type_sums_put_in(types, type,
                             record_digest_share(type, &id, postgres_u64(result, row, 2)));
        }
        PQclear(result);
    }
    return good ? POSTGRES_OK : POSTGRES_FAILED;
}

enum postgres_code postgres_count_types(struct postgres_conn *conn)
{
    PGresult *regions =
        PQexecParams(conn->pg, "SELECT region_id FROM sync_region", 0, NULL, NULL, NULL, NULL, 1);
    enum postgres_code code =
        PQresultStatus(regions) == PGRES_TUPLES_OK ? POSTGRES_OK : POSTGRES_FAILED;
    struct type_sums types;

    for (size_t row = 0; code == POSTGRES_OK && row < postgres_row_count(regions); row++) {
        struct record_uuid region = postgres_uuid(regions, row, 0);
        code = count(conn, &region, &types);
        if (code == POSTGRES_OK)
            code = write_types(conn, &region, &types);
    }
    PQclear(regions);
    return code;
}
