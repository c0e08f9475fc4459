/* SPDX-License-Identifier: Apache-2.0
 *
 * PostgreSQL's binary form: arrays as parameters, columns of results.
 */
#include "postgres_conn.h"

#include <stdlib.h>

void postgres_big_endian(uint64_t value, size_t len, uint8_t *bytes_out)
{
    for (size_t i = 0; i < len; i++)
        bytes_out[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
}

/* ---- Arrays -------------------------------------------------------------------------- */

enum { ARRAY_HEADER_LEN = 20, ARRAY_COUNT_OFFSET = 12 };

static void add_u32(struct rpc_buffer *buffer, uint32_t value)
{
    uint8_t bytes[4];

    postgres_big_endian(value, sizeof bytes, bytes);
    rpc_buffer_append(buffer, bytes, sizeof bytes);
}

void postgres_array_init(struct postgres_array *array, enum postgres_type type)
{
    array->count = 0;
    rpc_buffer_init(&array->bytes, POSTGRES_PARAM_BYTES_MAX);
    add_u32(&array->bytes, 1); /* dimensions */
    add_u32(&array->bytes, 0); /* no NULL among them */
    add_u32(&array->bytes, type);
    add_u32(&array->bytes, 0); /* the count, when it is known */
    add_u32(&array->bytes, 1); /* the first index */
}

void postgres_array_deinit(struct postgres_array *array)
{
    rpc_buffer_deinit(&array->bytes);
}

static void array_add(struct postgres_array *array, const void *data, size_t len)
{
    add_u32(&array->bytes, (uint32_t)len);
    rpc_buffer_append(&array->bytes, data, len);
    array->count++;
}

void postgres_array_add_id16(struct postgres_array *array, const uint8_t bytes[16])
{
    array_add(array, bytes, 16);
}

void postgres_array_add_uuid(struct postgres_array *array, const struct record_uuid *id)
{
    array_add(array, id->bytes, RECORD_UUID_LEN);
}

void postgres_array_add_bytes(struct postgres_array *array, struct rpc_bytes bytes)
{
    array_add(array, bytes.data, bytes.len);
}

void postgres_array_add_u64(struct postgres_array *array, uint64_t value)
{
    uint8_t bytes[8];

    postgres_big_endian(value, sizeof bytes, bytes);
    array_add(array, bytes, sizeof bytes);
}

void postgres_array_add_int(struct postgres_array *array, int32_t value)
{
    uint8_t bytes[4];

    postgres_big_endian((uint32_t)value, sizeof bytes, bytes);
    array_add(array, bytes, sizeof bytes);
}

void postgres_array_add_bool(struct postgres_array *array, bool value)
{
    uint8_t byte = value;

    array_add(array, &byte, 1);
}

void postgres_put_array(struct postgres_conn *conn, struct postgres_array *array)
{
    if (array->bytes.failed || array->bytes.len > INT32_MAX) {
        conn->failed = POSTGRES_NO_MEMORY;
        postgres_put_null(conn);
        return;
    }
    postgres_big_endian(array->count, 4, array->bytes.data + ARRAY_COUNT_OFFSET);
    postgres_put_bytes(conn, array->bytes.data, array->bytes.len);
}

/* ---- Results ------------------------------------------------------------------------------- */

size_t postgres_row_count(const PGresult *result)
{
    return (size_t)PQntuples(result);
}

uint64_t postgres_changed(const PGresult *result)
{
    return strtoull(PQcmdTuples((PGresult *)result), NULL, 10);
}

bool postgres_is_null(const PGresult *result, size_t row, int column)
{
    return PQgetisnull(result, (int)row, column) != 0;
}

struct rpc_bytes postgres_bytes(const PGresult *result, size_t row, int column)
{
    return rpc_bytes_view(PQgetvalue(result, (int)row, column),
                          (size_t)PQgetlength(result, (int)row, column));
}

void postgres_copy(const PGresult *result, size_t row, int column, uint8_t *bytes_out, size_t len)
{
    struct rpc_bytes bytes = postgres_bytes(result, row, column);

    if (bytes.len == len)
        memcpy(bytes_out, bytes.data, len);
    else
        memset(bytes_out, 0, len);
}

struct record_uuid postgres_uuid(const PGresult *result, size_t row, int column)
{
    struct record_uuid id;

    postgres_copy(result, row, column, id.bytes, sizeof id.bytes);
    return id;
}

static uint64_t from_big_endian(const uint8_t *bytes, size_t len)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* Lengths that the compiler knows are one load each. */
static uint64_t number(const PGresult *result, size_t row, int column)
{
    struct rpc_bytes bytes = postgres_bytes(result, row, column);

    if (bytes.len == sizeof(uint64_t))
        return from_big_endian(bytes.data, sizeof(uint64_t));
    if (bytes.len == sizeof(uint32_t))
        return from_big_endian(bytes.data, sizeof(uint32_t));
    return from_big_endian(bytes.data, bytes.len);
}

uint64_t postgres_u64(const PGresult *result, size_t row, int column)
{
    return number(result, row, column);
}

int32_t postgres_int(const PGresult *result, size_t row, int column)
{
    return (int32_t)(uint32_t)number(result, row, column);
}

bool postgres_bool(const PGresult *result, size_t row, int column)
{
    return number(result, row, column) != 0;
}
