/* SPDX-License-Identifier: Apache-2.0
 *
 * How long to wait before the next try, as gRPC's connection back-off does: a second,
 * then 1.6 times as long each time, up to two minutes; each by a fifth more or less,
 * so that a thousand phones that lost one server do not come back as one.
 */
#ifndef OUTPOST_CLIENT_BACKOFF_H
#define OUTPOST_CLIENT_BACKOFF_H

#include <stdint.h>

enum {
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_MOST_MS = 120000,
    /* The longest wait that a server may ask for: a longer one would leave a phone
     * silent for a day after a mistake. */
    BACKOFF_PUSHED_BACK_MOST_MS = 3600000,
};

struct backoff {
    int64_t next_ms; /* before the jitter; 0: the first */
};

/* The wait before the next try; random is any 32 bits. */
int64_t backoff_next(struct backoff *backoff, uint32_t random);

/* The server was reached: the next wait is the first again. */
void backoff_reset(struct backoff *backoff);

#endif
