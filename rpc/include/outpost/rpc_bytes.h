/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes: a borrowed span and a growing buffer with a hard cap.
 *
 * The one pair of byte types of the whole project. A span never owns and is
 * never NUL-terminated by hope. A buffer carries its greatest size from birth,
 * so that no peer and no bug can make it grow without end (I12); once an
 * append has failed the buffer stays failed, so that a writer may append many
 * times and look once.
 *
 * Threads: none of these functions shares state; one object, one thread.
 */
#ifndef OUTPOST_RPC_BYTES_H
#define OUTPOST_RPC_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A borrowed span; data may be NULL when len is 0. */
struct rpc_bytes {
    const uint8_t *data;
    size_t len;
};

static inline struct rpc_bytes rpc_bytes_view(const void *data, size_t len)
{
    struct rpc_bytes bytes = {(const uint8_t *)data, len};
    return bytes;
}

static inline bool rpc_bytes_equal(struct rpc_bytes a, struct rpc_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* A growing buffer. Zero-initialised except len_max it is empty and valid. */
struct rpc_buffer {
    uint8_t *data;
    size_t len;
    size_t capacity;
    size_t len_max; /* bytes; appending past it fails */
    bool failed;    /* an append did not fit or memory ran out; sticky until rpc_buffer_clear */
    bool no_memory; /* it was memory */
};

void rpc_buffer_init(struct rpc_buffer *buffer, size_t len_max);
void rpc_buffer_deinit(struct rpc_buffer *buffer);

/* Empties the buffer, keeps its memory, forgets a failure. */
void rpc_buffer_clear(struct rpc_buffer *buffer);

/* Makes room for len more bytes and returns where they go, or NULL (and marks
 * the buffer failed). The caller then adds what it wrote to buffer->len. */
uint8_t *rpc_buffer_reserve(struct rpc_buffer *buffer, size_t len);

/* Inline: messages are put together by many short appends that have room. */
static inline void rpc_buffer_append(struct rpc_buffer *buffer, const void *data, size_t len)
{
    bool fits = !buffer->failed && len <= buffer->capacity - buffer->len;
    uint8_t *room = NULL;

    if (len == 0)
        return;
    room = fits ? buffer->data + buffer->len : rpc_buffer_reserve(buffer, len);
    if (room == NULL)
        return;
    memcpy(room, data, len);
    buffer->len += len;
}

/* Drops len bytes from the front; len <= buffer->len. */
void rpc_buffer_drop(struct rpc_buffer *buffer, size_t len);

static inline void rpc_buffer_append_bytes(struct rpc_buffer *buffer, struct rpc_bytes bytes)
{
    rpc_buffer_append(buffer, bytes.data, bytes.len);
}

static inline struct rpc_bytes rpc_buffer_view(const struct rpc_buffer *buffer)
{
    return rpc_bytes_view(buffer->data, buffer->len);
}

#ifdef __cplusplus
}
#endif

#endif
