/* SPDX-License-Identifier: Apache-2.0
 *
 * What an engine's threads have done, until the owner's thread tells of it. It has a mutex
 * of its own, under which nothing is done.
 */
#ifndef OUTPOST_SERVER_STORE_COMPLETIONS_H
#define OUTPOST_SERVER_STORE_COMPLETIONS_H

#include "store_queue.h"

#include <pthread.h>

struct store_completions {
    pthread_mutex_t mutex;
    pthread_cond_t some;
    struct store_queue queue;
    void (*notify)(void *context); /* may be NULL */
    void *context;
};

void store_completions_init(struct store_completions *completions,
                            const struct store_options *options);
/* Nobody adds any more, and all was drained. */
void store_completions_deinit(struct store_completions *completions);

/* Any thread: the requests are complete. */
void store_completions_add(struct store_completions *completions,
                           struct store_request *const *requests, size_t count);

/* The owner's thread: done() of what is complete. */
void store_completions_drain(struct store_completions *completions);
/* Until something is. */
void store_completions_wait(struct store_completions *completions);

#endif
