/* SPDX-License-Identifier: Apache-2.0
 *
 * A relay between a store and its database that cuts connections at a chosen byte. It
 * has a thread of its own. What came before the cut arrives; of what comes after
 * nothing does, in either direction, and both ends see a closed connection.
 *
 * A plan names cuts for what comes next: the first falls on whichever connection
 * carries bytes next, the second on the next connection that is opened after that.
 * Nothing else may use the database meanwhile: the test has one request at a time.
 */
#ifndef OUTPOST_TESTS_CUT_RELAY_H
#define OUTPOST_TESTS_CUT_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cut_direction { CUT_TO_DATABASE, CUT_TO_STORE, CUT_DIRECTIONS };

enum { CUTS_MAX = 2 };

struct cut_plan {
    size_t count;
    struct cut {
        enum cut_direction direction;
        uint64_t after; /* so many bytes in that direction still pass */
    } cuts[CUTS_MAX];
};

/* What happened under the plan. */
struct cut_report {
    size_t done;                     /* cuts */
    uint64_t passed[CUT_DIRECTIONS]; /* bytes, on the connection of the next cut */
};

struct cut_relay;

/* Forwards to 127.0.0.1:database_port. NULL: no socket. */
struct cut_relay *cut_relay_new(uint16_t database_port);
void cut_relay_free(struct cut_relay *relay);
uint16_t cut_relay_port(const struct cut_relay *relay);
/* Connections that are open. */
size_t cut_relay_open_count(struct cut_relay *relay);

/* The plan for what comes from now on. */
void cut_relay_plan(struct cut_relay *relay, const struct cut_plan *plan);
/* Ends the plan. */
struct cut_report cut_relay_report(struct cut_relay *relay);

#endif
