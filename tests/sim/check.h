/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the checker. It reads the databases at rest by plain SQLite and the
 * ledger, and shares no code with the cores; only the log's hash chain is walked by
 * the server's own verify.
 */
#ifndef OUTPOST_TESTS_SIM_CHECK_H
#define OUTPOST_TESTS_SIM_CHECK_H

#include "sim.h"

/* A count that must be 0, and the type and id of one of them where it is of records;
 * what it counts. */
struct check_nothing {
    const char *what, *sql;
};

/* Prepares, or fails the world and gives NULL. */
sqlite3_stmt *check_query(struct sim *sim, sqlite3 *db, const char *sql);
void check_nothing(struct sim *sim, sqlite3 *db, const char *whose,
                   const struct check_nothing *checks, size_t count);

/* check_server.c: the server's tables among themselves, and what it has answered. */
void check_server(struct sim *sim, sqlite3 *db);
/* check_phone.c: a phone against the server. */
void check_phone(struct sim *sim, struct phone *phone);
/* check_values.c: every value that was written. */
void check_values(struct sim *sim, sqlite3 *db);

#endif
