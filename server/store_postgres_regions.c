/* SPDX-License-Identifier: Apache-2.0 */
#include "store_postgres_regions.h"

#include <stdlib.h>

void postgres_regions_init(struct postgres_regions *regions)
{
    regions->all = regions->waiting = NULL;
    regions->waiting_end = &regions->waiting;
}

static void let_wait(struct postgres_regions *regions, struct postgres_region *region)
{
    region->waits = true;
    region->next = NULL;
    *regions->waiting_end = region;
    regions->waiting_end = &region->next;
}

bool postgres_regions_put(struct postgres_regions *regions, struct store_push *push)
{
    struct postgres_region *region;

    HASH_FIND(hh, regions->all, &push->region_id, sizeof push->region_id, region);
    if (region == NULL) {
        region = calloc(1, sizeof *region);
        if (region == NULL)
            return false;
        region->region_id = push->region_id;
        store_queue_init(&region->pushes);
        HASH_ADD(hh, regions->all, region_id, sizeof region->region_id, region);
        if (region->hh.tbl == NULL) {
            free(region);
            return false;
        }
    }
    store_queue_put(&region->pushes, &push->request);
    if (!region->taken && !region->waits)
        let_wait(regions, region);
    return true;
}

struct postgres_region *postgres_regions_take(struct postgres_regions *regions)
{
    struct postgres_region *region = regions->waiting;

    if (region == NULL)
        return NULL;
    regions->waiting = region->next;
    if (regions->waiting == NULL)
        regions->waiting_end = &regions->waiting;
    region->waits = false;
    region->taken = true;
    return region;
}

void postgres_regions_release(struct postgres_regions *regions, struct postgres_region *region)
{
    region->taken = false;
    if (region->pushes.count > 0) {
        let_wait(regions, region);
    } else {
        HASH_DEL(regions->all, region);
        free(region);
    }
}

void postgres_region_group(struct postgres_region *region, struct postgres_group *group_out)
{
    size_t mutations = 0;

    *group_out = (struct postgres_group){.count = 0};
    while (group_out->count < POSTGRES_GROUP_MAX && mutations < STORE_TRANSACTION_MUTATIONS_MAX) {
        struct store_push *push = (struct store_push *)store_queue_take(&region->pushes);
        if (push == NULL)
            break;
        mutations += push->batch->item_count;
        group_out->pushes[group_out->count++] = push;
    }
}

void postgres_regions_empty(struct postgres_regions *regions, struct store_queue *refused)
{
    struct postgres_region *region, *next;
    struct store_request *request;

    HASH_ITER(hh, regions->all, region, next)
    while ((request = store_queue_take(&region->pushes)) != NULL)
        store_queue_put(refused, request);
}
