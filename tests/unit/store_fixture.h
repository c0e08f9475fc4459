/* SPDX-License-Identifier: Apache-2.0
 *
 * A new, empty store for a test: a SQLite file in the working folder, or a schema of
 * its own in the PostgreSQL database that OUTPOST_TEST_POSTGRES (a conninfo) names.
 */
#ifndef OUTPOST_TESTS_STORE_FIXTURE_H
#define OUTPOST_TESTS_STORE_FIXTURE_H

#include "store.h"

bool store_fixture_is_sqlite(void);
struct rpc_status store_fixture_open(const struct store_options *options, struct store **store_out);
/* The file, or the conninfo with the schema. */
const char *store_fixture_file(void);
/* After the store was closed. */
void store_fixture_remove(void);

#endif
