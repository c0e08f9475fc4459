/* SPDX-License-Identifier: Apache-2.0
 *
 * What a push's decisions stand on, looked up for a whole group at a time: the entries of
 * a push_set that are not loaded yet, a query for each region and table. Which locks must
 * be held is store_postgres_load.c's to know.
 */
#ifndef OUTPOST_SERVER_STORE_POSTGRES_LOOKUPS_H
#define OUTPOST_SERVER_STORE_POSTGRES_LOOKUPS_H

#include "store_postgres.h"

/* One query of an exchange, and which entries its ordinals mean. */
struct postgres_lookup {
    void (*take)(struct push_set *set, void *entry, const PGresult *result, size_t row,
                 bool *failed);
    size_t query;
    size_t count;
    void **entries;
};

struct postgres_lookups {
    struct postgres_conn *conn;
    struct push_set *set;
    bool failed; /* no memory */
    size_t count;
    struct postgres_lookup list[5 * POSTGRES_LOCKS_MAX + 2];
};

/* Send queries: for what hangs on nothing else; and for what hangs on where families
 * are. */
void postgres_look_up_first(struct postgres_lookups *lookups, const struct postgres_locks *locks);
void postgres_look_up_then(struct postgres_lookups *lookups, const struct postgres_locks *locks);

/* Fills the set with the results of an exchange of the caller's; the other makes that
 * exchange first, if anything was sent. */
enum postgres_code postgres_lookups_take(struct postgres_lookups *lookups);
enum postgres_code postgres_lookups_run(struct postgres_lookups *lookups);

#endif
