/* SPDX-License-Identifier: Apache-2.0
 *
 * An arena: memory of one batch, freed in one call.
 *
 * Promise: what was allocated stays where it is until arena_clear or
 * arena_deinit. The cap is given at birth (I12); running into it, or out of
 * memory, gives NULL. One arena, one thread at a time.
 */
#ifndef OUTPOST_SERVER_ARENA_H
#define OUTPOST_SERVER_ARENA_H

#include "outpost/rpc_bytes.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used;                /* bytes of all blocks */
    size_t used_max;
};

void arena_init(struct arena *arena, size_t used_max);
void arena_deinit(struct arena *arena);

/* Aligned for any type and zeroed. NULL: no memory, or the cap is reached. */
void *arena_alloc(struct arena *arena, size_t len);

/* A copy that lives as long as the arena; data is NULL on failure (and when
 * bytes is empty). */
struct rpc_bytes arena_dup(struct arena *arena, struct rpc_bytes bytes);

#endif
