/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a database that says it is a copy gets an identity of its own (R23). Pure; an
 * engine reads the facts and writes what is made.
 */
#ifndef OUTPOST_SERVER_COPY_H
#define OUTPOST_SERVER_COPY_H

#include "store.h"

struct copy_facts {
    const struct store_device *asking; /* by its certificate; NULL: not known */
    struct token_pair tokens;          /* the asking device's */
    const struct store_device *owner;  /* of the key, the asking one's copy first; NULL: none */
    size_t copies;                     /* of the same enrolment, copies of copies too */
};

/* Decides; GOOD and made_out false: recertify->device is the one that was made before,
 * for the same key. True: it is to be written, with the asking one's settings. */
void copy_decide(struct store_recertify *recertify, const struct copy_facts *facts, bool *made_out);

#endif
