/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of the database: Outpost's own, and one per record type.
 *
 * Promises: after schema_ensure the database has every table, column, index and
 * trigger that this version needs, and what an older version kept as unknown
 * fields or records lies in its columns (I9). A database of a newer version is
 * refused, not half understood. The app's own tables, indexes, triggers and
 * extra indexes on record tables are left alone.
 */
#ifndef OUTPOST_CLIENT_SCHEMA_H
#define OUTPOST_CLIENT_SCHEMA_H

#include "store.h"

STORE_MUST_USE bool schema_ensure(struct store *store);

/* False (and a failure): the database holds none of Outpost's tables. */
STORE_MUST_USE bool schema_present(struct store *store, bool *present_out);

/* A statement of one record type, ready to be bound. NULL: failed. */
sqlite3_stmt *schema_statement(struct store *store, struct store_table *table,
                               enum table_statement which);

/* Binds a record's key as a table's statements want it; the next free index. */
int schema_bind_key(sqlite3_stmt *statement, const struct record_type *type,
                    const struct record_key *key);

/* The key out of two columns: family_id (any for a root or global record), id. */
struct record_key schema_column_key(sqlite3_stmt *statement, int column,
                                    const struct record_type *type);

/* True when a key can be of that type: a root's id is its family's, a member
 * has a family, a global record has none. */
bool schema_key_fits(const struct record_type *type, const struct record_key *key);

#endif
