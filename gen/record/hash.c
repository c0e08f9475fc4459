/* SPDX-License-Identifier: Apache-2.0
 *
 * The hashes of sync.proto: stamp, mutation id, digest share. SHA-256 is
 * OpenSSL's; the context is made once, because the stamps of a first sync are
 * tens of thousands of small hashes.
 */
#include "outpost/record.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct record_hasher {
    EVP_MD *sha256;
    EVP_MD_CTX *context;
};

struct record_hasher *record_hasher_new(void)
{
    struct record_hasher *hasher = calloc(1, sizeof *hasher);

    if (hasher == NULL)
        return NULL;
    hasher->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    hasher->context = EVP_MD_CTX_new();
    if (hasher->sha256 == NULL || hasher->context == NULL ||
        EVP_DigestInit_ex2(hasher->context, hasher->sha256, NULL) != 1) {
        record_hasher_free(hasher);
        return NULL;
    }
    return hasher;
}

void record_hasher_free(struct record_hasher *hasher)
{
    if (hasher == NULL)
        return;
    EVP_MD_CTX_free(hasher->context);
    EVP_MD_free(hasher->sha256);
    free(hasher);
}

void record_hash(struct record_hasher *hasher, const struct rpc_bytes *parts, size_t part_count,
                 uint8_t hash_out[RECORD_SHA256_LEN])
{
    /* With a context and an algorithm at hand none of these allocates or can
     * fail; a name made of a half-finished hash would be silent corruption. */
    bool done = EVP_DigestInit_ex2(hasher->context, NULL, NULL) == 1;

    for (size_t i = 0; done && i < part_count; i++)
        done = parts[i].len == 0 ||
               EVP_DigestUpdate(hasher->context, parts[i].data, parts[i].len) == 1;
    if (!done || EVP_DigestFinal_ex(hasher->context, hash_out, NULL) != 1)
        abort();
}

static uint64_t big_endian_64(const uint8_t bytes[8])
{
    uint64_t value = 0;

    for (size_t i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

uint64_t record_stamp(struct record_hasher *hasher, uint64_t version, bool deleted,
                      struct rpc_bytes body)
{
    uint8_t head[9] = {0};
    uint8_t hash[RECORD_SHA256_LEN];
    struct rpc_bytes parts[] = {rpc_bytes_view(head, sizeof head), body};

    for (size_t i = 0; i < 8; i++)
        head[i] = (uint8_t)(version >> (56 - 8 * i));
    head[8] = deleted;
    record_hash(hasher, parts, 2, hash);
    return big_endian_64(hash);
}

struct record_mutation_id record_mutation_id(struct record_hasher *hasher,
                                             struct rpc_bytes mutation)
{
    uint8_t hash[RECORD_SHA256_LEN];
    struct record_mutation_id id;

    record_hash(hasher, &mutation, 1, hash);
    memcpy(id.bytes, hash, sizeof id.bytes);
    return id;
}

static uint64_t mix64(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t record_digest_share(uint32_t type, const struct record_uuid *id, uint64_t stamp)
{
    uint64_t x = mix64(type);

    x = mix64(x ^ big_endian_64(id->bytes));
    x = mix64(x ^ big_endian_64(id->bytes + 8));
    return mix64(x ^ stamp);
}
