/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of a page that are probably new here, written by one statement for each type.
 *
 * An INSERT .. SELECT from a virtual table over the page costs half of what as many
 * INSERTs do: a first sync is mostly that. It stops at a row that is there already, which
 * apply_take looks at, and goes on behind it. Only while nothing is pending, offered,
 * unconfirmed or has left, and no trigger of the app's is on a record table: then there is
 * nothing else to do about a new record.
 */
#ifndef OUTPOST_CLIENT_FEED_H
#define OUTPOST_CLIENT_FEED_H

#include "store.h"

/* The virtual table's name; of our connection alone, in no schema. */
#define FEED_TABLE "outpost_feed"

/* For a connection that was just opened. */
STORE_MUST_USE bool feed_register(struct store *store);

/* Records of one page, kept by type until they are written. */
struct feed {
    struct store *store;
    struct feed_list *lists; /* one per type of the schema; NULL: nothing came yet */
};

void feed_init(struct feed *feed, struct store *store);
void feed_deinit(struct feed *feed);

/* Whether a living record of that type, whose key fits, may be kept for later. */
bool feed_takes(const struct store *store, const struct store_table *table);
/* Views image->body until feed_write. */
STORE_MUST_USE bool feed_add(struct feed *feed, const struct store_table *table,
                             const struct record_image *image);
/* Writes all that was added, inside a transaction. */
STORE_MUST_USE bool feed_write(struct feed *feed);

#endif
