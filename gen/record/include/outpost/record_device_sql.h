/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQL that makes a device's tables, from the record types alone.
 */
#ifndef OUTPOST_RECORD_DEVICE_SQL_H
#define OUTPOST_RECORD_DEVICE_SQL_H

#include "outpost/record.h"
#include "outpost/rpc_bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    /* Room enough for any record type: RECORD_FIELDS_MAX fields, named in six places. */
    RECORD_DEVICE_SQL_BYTES_MAX = 256 * 1024,
};

/* Appends the statements, each ended by a semicolon, that make the type's table, its base
 * table (outpost_base_<table>) and its triggers (SQLite 3.9), and a NUL. They may be
 * executed again: tables stay as they are, triggers are made anew. type is one of the
 * schema's. On failure the buffer is failed. */
void record_device_sql(const struct record_schema *schema, const struct record_type *type,
                       struct rpc_buffer *sql);

#ifdef __cplusplus
}
#endif

#endif
