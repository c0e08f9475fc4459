/* SPDX-License-Identifier: Apache-2.0
 *
 * Which engine a data folder's store has: SQLite in the folder, or a PostgreSQL
 * database.
 */
#ifndef OUTPOST_SERVER_ENGINE_H
#define OUTPOST_SERVER_ENGINE_H

#include "config.h"

/* Whether that is a value for [server] store: "sqlite", a postgresql:// URI, or
 * libpq's name=value pairs. */
bool engine_known(const char *store);
bool engine_is_postgres(const char *store);

/* Makes the store that the configuration names, or brings it up to date. owner: the
 * conninfo of the role that a PostgreSQL database's tables belong to; the role of the
 * configuration then gets what serving needs and no more. NULL: one role is both.
 * distributed: "citus", or NULL. */
struct rpc_status engine_prepare(const struct config *config, const char *owner,
                                 const char *distributed);

/* Opens it. */
struct rpc_status engine_open(const struct config *config, const struct store_options *options,
                              struct store **store_out);

/* The store's name as it may be shown: without a password. */
void engine_shown(const char *store, char shown_out[CONFIG_TEXT_LEN]);

#endif
