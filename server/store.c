/* SPDX-License-Identifier: Apache-2.0
 *
 * What is the same for every engine: waiting, and the ends of results.
 */
#include "store.h"

#include <stdlib.h>

void store_close(struct store *store)
{
    if (store != NULL)
        store->engine->close(store);
}

static void run_done(struct store_request *request)
{
    *(bool *)request->owner = true;
}

struct rpc_status store_run(struct store *store, struct store_request *request)
{
    bool done = false;

    request->done = run_done;
    request->owner = &done;
    store_submit(store, request);
    while (!done) {
        store->engine->wait(store);
        store_drain(store);
    }
    return request->status;
}

void store_page_deinit(struct store_page *page)
{
    rpc_buffer_deinit(&page->encoded);
    rpc_buffer_deinit(&page->markers);
    free(page->rows);
    page->rows = NULL;
}

void store_heads_deinit(struct store_heads *heads)
{
    free(heads->heads);
    heads->heads = NULL;
}
