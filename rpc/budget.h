/* SPDX-License-Identifier: Apache-2.0
 *
 * What a peer may do at what rate, before it is shown the door with a GOAWAY that
 * says ENHANCE_YOUR_CALM. Each is a bucket: so many at once, and so many a second
 * after that. An honest peer, however busy, stays far below.
 */
#ifndef OUTPOST_RPC_BUDGET_H
#define OUTPOST_RPC_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/* X(name, at once, per second, what the peer hears) */
#define BUDGETS(X)                                                                            \
    /* PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA: floods that cost the peer little. \
     * The bucket is full again after each frame that carries something, either way. A client \
     * that keeps a silent call alive sends a few a minute. */                                \
    X(IDLE_FRAMES, 1000, 17, "too_many_empty_frames")                                         \
    /* Calls that the client resets while they run: rapid reset, CVE-2023-44487. */           \
    X(RESETS, 1000, 100, "too_many_resets")                                                   \
    /* Streams that a fault of the peer's makes us reset: the same the other way round,       \
     * CVE-2025-8671; and header blocks far over the limit. A client that does not know the   \
     * limit of calls yet may have 300 refused. */                                            \
    X(PROVOKED_RESETS, 400, 10, "too_many_broken_streams")                                    \
    /* DATA frames cut short by a window of a few bytes, CVE-2019-9511. */                    \
    X(SMALL_WINDOWS, 1000, 100, "windows_too_small")                                          \
    /* Messages that no honest peer makes: bombs, broken compression, no protobuf. */         \
    X(BAD_MESSAGES, 100, 1, "too_many_bad_messages")

enum budget_kind {
#define X(name, burst, rate, text) BUDGET_##name,
    BUDGETS(X)
#undef X
        BUDGET_COUNT,
};

/* Zero-initialised it is full. */
struct budgets {
    struct {
        int64_t spent; /* in thousandths */
        int64_t at_ms;
    } buckets[BUDGET_COUNT];
};

/* False: there was nothing left. */
bool budget_spend(struct budgets *budgets, enum budget_kind kind, int64_t now_ms);
/* The bucket is full again. */
void budget_restore(struct budgets *budgets, enum budget_kind kind);
/* For the GOAWAY's debug data. */
const char *budget_text(enum budget_kind kind);

#endif
