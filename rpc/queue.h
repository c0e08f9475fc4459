/* SPDX-License-Identifier: Apache-2.0
 *
 * A byte queue: appended at the tail, read at the head, with a hard cap.
 *
 * What is read is left in place until it is at least half of what is there, so
 * that each byte moves at most once on average; the memory goes back when a
 * queue that had grown becomes empty, because thousands of idle calls and
 * connections each keep theirs.
 */
#ifndef OUTPOST_RPC_QUEUE_H
#define OUTPOST_RPC_QUEUE_H

#include "outpost/rpc_bytes.h"

struct queue {
    struct rpc_buffer buffer;
    size_t head; /* bytes of buffer that were read already */
};

enum {
    /* An empty queue keeps up to this much memory for the next turn. */
    QUEUE_KEEP_BYTES = 4 * 1024,
};

static inline void queue_init(struct queue *queue, size_t len_max)
{
    rpc_buffer_init(&queue->buffer, len_max);
    queue->head = 0;
}

static inline size_t queue_len(const struct queue *queue)
{
    return queue->buffer.len - queue->head;
}

static inline struct rpc_bytes queue_view(const struct queue *queue)
{
    const uint8_t *data = queue->buffer.data;

    return rpc_bytes_view(data != NULL ? data + queue->head : NULL, queue_len(queue));
}

/* Forgets the content and gives the memory back. */
static inline void queue_clear(struct queue *queue)
{
    rpc_buffer_deinit(&queue->buffer);
    queue->head = 0;
}

/* Room for len more bytes, or NULL when that would pass the cap. */
static inline uint8_t *queue_reserve(struct queue *queue, size_t len)
{
    if (len > queue->buffer.len_max - queue_len(queue))
        return NULL;
    if (len > queue->buffer.len_max - queue->buffer.len) {
        rpc_buffer_drop(&queue->buffer, queue->head);
        queue->head = 0;
    }
    uint8_t *room = rpc_buffer_reserve(&queue->buffer, len);
    queue->buffer.failed = false;
    return room;
}

static inline bool queue_append(struct queue *queue, struct rpc_bytes bytes)
{
    if (bytes.len == 0)
        return true;
    uint8_t *room = queue_reserve(queue, bytes.len);
    if (room == NULL)
        return false;
    memcpy(room, bytes.data, bytes.len);
    queue->buffer.len += bytes.len;
    return true;
}

static inline void queue_drop(struct queue *queue, size_t len)
{
    queue->head += len;
    if (queue->head == queue->buffer.len) {
        queue->head = 0;
        if (queue->buffer.capacity > QUEUE_KEEP_BYTES)
            rpc_buffer_deinit(&queue->buffer);
        else
            rpc_buffer_clear(&queue->buffer);
    } else if (queue->head >= queue->buffer.len / 2) {
        rpc_buffer_drop(&queue->buffer, queue->head);
        queue->head = 0;
    }
}

#endif
