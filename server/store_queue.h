/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests in a line, linked by themselves, so that a queue never needs memory.
 */
#ifndef OUTPOST_SERVER_STORE_QUEUE_H
#define OUTPOST_SERVER_STORE_QUEUE_H

#include "store.h"

struct store_queue {
    struct store_request *first;
    struct store_request **end;
    size_t count;
};

static inline void store_queue_init(struct store_queue *queue)
{
    *queue = (struct store_queue){.end = &queue->first};
}

static inline void store_queue_put(struct store_queue *queue, struct store_request *request)
{
    request->next = NULL;
    *queue->end = request;
    queue->end = &request->next;
    queue->count++;
}

/* NULL: it is empty. */
static inline struct store_request *store_queue_take(struct store_queue *queue)
{
    struct store_request *request = queue->first;

    if (request == NULL)
        return NULL;
    queue->first = request->next;
    if (queue->first == NULL)
        queue->end = &queue->first;
    queue->count--;
    return request;
}

#endif
