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

/* Opens the store that the configuration names; see store_run. With create it is made,
 * or brought up to date. */
struct rpc_status engine_open(const struct config *config, bool create,
                              const struct store_options *options, struct store **store_out);

/* The store's name as it may be shown: without a password. */
void engine_shown(const char *store, char shown_out[CONFIG_TEXT_LEN]);

#endif
