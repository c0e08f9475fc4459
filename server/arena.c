/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <stdalign.h>
#include <stdlib.h>

enum { ARENA_BLOCK_LEN = 64 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t len;
    size_t capacity;
    alignas(max_align_t) uint8_t data[];
};

void arena_init(struct arena *arena, size_t used_max)
{
    *arena = (struct arena){.used_max = used_max};
}

void arena_deinit(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->used = 0;
}

static struct arena_block *add_block(struct arena *arena, size_t len)
{
    size_t capacity = len > ARENA_BLOCK_LEN ? len : ARENA_BLOCK_LEN;

    if (capacity > arena->used_max - arena->used)
        return NULL;
    struct arena_block *block = malloc(sizeof *block + capacity);
    if (block == NULL)
        return NULL;
    block->len = 0;
    block->capacity = capacity;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->used += capacity;
    return block;
}

void *arena_alloc(struct arena *arena, size_t len)
{
    if (len > arena->used_max)
        return NULL;
    len = (len + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct arena_block *block = arena->blocks;
    if (block == NULL || len > block->capacity - block->len)
        block = add_block(arena, len);
    if (block == NULL)
        return NULL;
    void *memory = block->data + block->len;
    block->len += len;
    return memset(memory, 0, len);
}

struct rpc_bytes arena_dup(struct arena *arena, struct rpc_bytes bytes)
{
    void *copy = bytes.len > 0 ? arena_alloc(arena, bytes.len) : NULL;

    if (copy == NULL)
        return rpc_bytes_view(NULL, 0);
    memcpy(copy, bytes.data, bytes.len);
    return rpc_bytes_view(copy, bytes.len);
}
