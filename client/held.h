/* SPDX-License-Identifier: Apache-2.0
 *
 * Every copy that is held of the server's records, one after the other (R4): clean rows
 * are their own, of a pending record it lies elsewhere. What verify.c looks at, and
 * repair.c mends.
 */
#ifndef OUTPOST_CLIENT_HELD_H
#define OUTPOST_CLIENT_HELD_H

#include "image.h"

struct held_copy {
    struct record_key key;
    const char *table;
    bool pending;
    struct image *image; /* as it is kept, with the stamp that is kept */
    uint64_t true_stamp; /* of what is kept; 0: it is no record any more */
};

struct held_walk {
    bool (*visit)(void *context, const struct held_copy *copy); /* false: a failure */
    void *context;
};

/* In a transaction, so that it is all of one moment. A visit may write the copy that it
 * is shown. */
STORE_MUST_USE bool held_each(struct store *store, const struct held_walk *walk);

/* What is kept is not what its stamp says. */
bool held_is_damaged(const struct held_copy *copy);

/* Counts it into the sum of its class, by what it truly is. */
void held_count(const struct held_copy *copy, struct store_sum sums[CLASS_COUNT]);

#endif
