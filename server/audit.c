/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

static void put_u64(uint8_t **to, uint64_t value)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        *(*to)++ = (uint8_t)(value >> shift);
}

static void put_bytes(uint8_t **to, const uint8_t *bytes, size_t len)
{
    memcpy(*to, bytes, len);
    *to += len;
}

void audit_hash(struct record_hasher *hasher, const uint8_t before[AUDIT_HASH_LEN],
                const struct audit_entry *entry, uint8_t hash_out[AUDIT_HASH_LEN])
{
    uint8_t bytes[AUDIT_HASH_LEN + 4 * RECORD_UUID_LEN + 6 * 8];
    uint8_t hash[RECORD_SHA256_LEN];
    uint8_t *to = bytes;

    put_bytes(&to, before, AUDIT_HASH_LEN);
    put_u64(&to, entry->seq);
    put_u64(&to, (uint64_t)entry->kind);
    put_u64(&to, entry->key.type);
    put_bytes(&to, entry->key.family.bytes, RECORD_UUID_LEN);
    put_bytes(&to, entry->key.id.bytes, RECORD_UUID_LEN);
    put_u64(&to, entry->version);
    put_u64(&to, entry->stamp);
    put_bytes(&to, entry->mutation_id.bytes, RECORD_MUTATION_ID_LEN);
    put_bytes(&to, entry->device.bytes, RECORD_UUID_LEN);
    put_u64(&to, (uint64_t)entry->received_at_ms);

    struct rpc_bytes part = rpc_bytes_view(bytes, (size_t)(to - bytes));
    record_hash(hasher, &part, 1, hash);
    memcpy(hash_out, hash, AUDIT_HASH_LEN);
}
