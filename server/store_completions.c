/* SPDX-License-Identifier: Apache-2.0 */
#include "store_completions.h"

void store_completions_init(struct store_completions *completions,
                            const struct store_options *options)
{
    *completions =
        (struct store_completions){.notify = options->notify, .context = options->context};
    store_queue_init(&completions->queue);
    pthread_mutex_init(&completions->mutex, NULL);
    pthread_cond_init(&completions->some, NULL);
}

void store_completions_deinit(struct store_completions *completions)
{
    pthread_cond_destroy(&completions->some);
    pthread_mutex_destroy(&completions->mutex);
}

void store_completions_add(struct store_completions *completions,
                           struct store_request *const *requests, size_t count)
{
    pthread_mutex_lock(&completions->mutex);
    for (size_t i = 0; i < count; i++)
        store_queue_put(&completions->queue, requests[i]);
    pthread_cond_signal(&completions->some);
    pthread_mutex_unlock(&completions->mutex);
    if (completions->notify != NULL)
        completions->notify(completions->context);
}

void store_completions_drain(struct store_completions *completions)
{
    pthread_mutex_lock(&completions->mutex);
    struct store_request *request = completions->queue.first;
    store_queue_init(&completions->queue);
    pthread_mutex_unlock(&completions->mutex);
    while (request != NULL) {
        struct store_request *next = request->next;
        request->done(request);
        request = next;
    }
}

void store_completions_wait(struct store_completions *completions)
{
    pthread_mutex_lock(&completions->mutex);
    while (completions->queue.first == NULL)
        pthread_cond_wait(&completions->some, &completions->mutex);
    pthread_mutex_unlock(&completions->mutex);
}
