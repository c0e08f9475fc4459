/* SPDX-License-Identifier: Apache-2.0
 *
 * A new, empty store for a test: a SQLite file in the working folder, or a schema of
 * its own in the PostgreSQL database that OUTPOST_TEST_POSTGRES (a conninfo) names.
 */
#ifndef OUTPOST_TESTS_TEST_STORE_H
#define OUTPOST_TESTS_TEST_STORE_H

#include "store.h"

bool test_store_is_sqlite(void);
struct rpc_status test_store_open(const struct store_options *options, struct store **store_out);
/* The file, or the conninfo with the schema. */
const char *test_store_place(void);
/* After the store was closed. */
void test_store_remove(void);

#endif
