/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <stdlib.h>

static void *room_for(size_t len)
{
    void *room = calloc(1, len);

    if (room == NULL)
        abort();
    return room;
}

bool pool_init(struct pool *pool)
{
    *pool = (struct pool){.hasher = record_hasher_new()};
    return pool->hasher != NULL;
}

void pool_deinit(struct pool *pool)
{
    struct pool_entity *entity, *next_entity;

    HASH_ITER(hh, pool->entities, entity, next_entity)
    {
        for (struct pool_version *version = entity->versions, *next; version != NULL;
             version = next) {
            next = version->next;
            free(version);
        }
        HASH_DEL(pool->entities, entity);
        free(entity);
    }
    record_hasher_free(pool->hasher);
}

struct pool_entity *pool_find(const struct pool *pool, const struct record_key *key)
{
    struct pool_entity *entity;

    HASH_FIND(hh, pool->entities, key, sizeof *key, entity);
    return entity;
}

struct pool_entity *pool_entity(struct pool *pool, const struct record_key *key)
{
    struct pool_entity *entity = pool_find(pool, key);

    if (entity != NULL)
        return entity;
    entity = room_for(sizeof *entity);
    entity->key = *key;
    HASH_ADD(hh, pool->entities, key, sizeof entity->key, entity);
    pool->bytes += sizeof *entity;
    return entity;
}

static struct pool_version *find_version(const struct pool_entity *entity, uint64_t number,
                                         bool deleted, struct rpc_bytes body)
{
    struct pool_version *version = entity->versions;

    while (version != NULL && (version->number != number || version->deleted != deleted ||
                               !rpc_bytes_equal(pool_body(version), body)))
        version = version->next;
    return version;
}

struct pool_version *pool_hold(struct pool *pool, struct pool_entity *entity, uint64_t number,
                               bool deleted, struct rpc_bytes body)
{
    struct pool_version *version = find_version(entity, number, deleted, body);

    if (version == NULL) {
        version = room_for(sizeof *version + body.len);
        version->entity = entity;
        version->next = entity->versions;
        version->number = number;
        version->deleted = deleted;
        version->stamp = record_stamp(pool->hasher, number, deleted, body);
        version->share = record_digest_share(entity->key.type, &entity->key.id, version->stamp);
        version->written_us = -1;
        version->len = (uint32_t)body.len;
        if (body.len > 0)
            memcpy(version->body, body.data, body.len);
        entity->versions = version;
        pool->version_count++;
        pool->bytes += sizeof *version + body.len;
    }
    version->holders++;
    return version;
}

void pool_release(struct pool *pool, struct pool_version *version)
{
    struct pool_version **at = &version->entity->versions;

    if (--version->holders > 0)
        return;
    while (*at != version)
        at = &(*at)->next;
    *at = version->next;
    pool->version_count--;
    pool->bytes -= sizeof *version + version->len;
    free(version);
}
