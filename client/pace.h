/* SPDX-License-Identifier: Apache-2.0
 *
 * How much one message may hold on the link as it is.
 *
 * The server's settings say how much at most. On a link that carries 2 kB a second
 * and breaks every minute a message of 1 MiB never arrives, however often it is
 * tried; so the device asks for less, and sends less, until messages pass in a few
 * seconds, and for more again when they pass at once. A few seconds are what a cut
 * then costs. Pure arithmetic: the caller has the clock and keeps the result.
 */
#ifndef OUTPOST_CLIENT_PACE_H
#define OUTPOST_CLIENT_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Below this the frame around a record weighs more than it. */
    PACE_BYTES_MIN = 4096,
    /* A message that took less is no burden; one that took more was too large. */
    PACE_FAST_MS = 1000,
    PACE_SLOW_MS = 5000,
};

struct pace {
    uint32_t bytes; /* of one message before compression, about */
    uint32_t most;  /* what the settings allow */
    bool under_way; /* a message is */
    int64_t since_ms;
};

/* With what was learned earlier; 0: nothing yet. */
void pace_start(struct pace *pace, uint32_t learned, uint32_t most);

/* The settings have changed. */
void pace_set_most(struct pace *pace, uint32_t most);

/* A message is under way from now on, if none was. */
void pace_begins(struct pace *pace, int64_t now_ms);

/* It is through, and had len bytes; with more the next is under way. If it was quick,
 * twice as much from now on; slow, half. A short one says nothing for more. */
void pace_passed(struct pace *pace, size_t len, int64_t now_ms, bool more);

/* Nothing is under way. */
void pace_rests(struct pace *pace);

/* The link broke; if a message was under way, a quarter. */
void pace_broke(struct pace *pace);

#endif
