/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbered SQL files of server/sql, embedded by the build in their order.
 */
#ifndef OUTPOST_SERVER_SQL_MIGRATIONS_H
#define OUTPOST_SERVER_SQL_MIGRATIONS_H

#include <stddef.h>

struct sql_migration {
    int version; /* 1, 2, ...: the number that the file's name begins with */
    const char *name;
    const char *sql;
};

/* The migration from which on the engines keep type sums: its column is filled by the
 * engine itself, which alone can compute them. */
enum { SQL_MIGRATION_TYPE_SUMS = 2 };

extern const struct sql_migration sql_migrations_sqlite[];
extern const size_t sql_migrations_sqlite_count;

extern const struct sql_migration sql_migrations_postgresql[];
extern const size_t sql_migrations_postgresql_count;

/* Not migrations: what spreads the tables over a Citus cluster, to be run any time. */
extern const struct sql_migration sql_migrations_citus[];
extern const size_t sql_migrations_citus_count;

#endif
