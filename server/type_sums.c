/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoded as type, records and digest of each, big-endian, in the order of their coming.
 */
#include "type_sums.h"

static struct type_sum *find(struct type_sums *sums, uint32_t type)
{
    for (size_t i = 0; i < sums->count; i++)
        if (sums->sums[i].type == type)
            return &sums->sums[i];
    return NULL;
}

void type_sums_put_in(struct type_sums *sums, uint32_t type, uint64_t share)
{
    struct type_sum *sum = find(sums, type);

    if (sum == NULL && sums->count < TYPE_SUMS_MAX) {
        sum = &sums->sums[sums->count++];
        *sum = (struct type_sum){.type = type};
    }
    if (sum == NULL)
        return;
    sum->records++;
    sum->digest += share;
}

void type_sums_take_out(struct type_sums *sums, uint32_t type, uint64_t share)
{
    struct type_sum *sum = find(sums, type);

    if (sum == NULL)
        return;
    sum->records--;
    sum->digest -= share;
}

static uint64_t get(const uint8_t *bytes, size_t len)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++)
        value = value << 8 | bytes[i];
    return value;
}

static uint8_t *put(uint8_t *at, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    return at + len;
}

void type_sums_parse(struct rpc_bytes bytes, struct type_sums *sums_out)
{
    sums_out->count = 0;
    if (bytes.len % TYPE_SUM_LEN != 0 || bytes.len > TYPE_SUMS_MAX * TYPE_SUM_LEN)
        return;
    for (const uint8_t *at = bytes.data; sums_out->count < bytes.len / TYPE_SUM_LEN;
         at += TYPE_SUM_LEN)
        sums_out->sums[sums_out->count++] = (struct type_sum){
            .type = (uint32_t)get(at, 4), .records = get(at + 4, 8), .digest = get(at + 12, 8)};
}

size_t type_sums_encode(const struct type_sums *sums,
                        uint8_t bytes_out[TYPE_SUMS_MAX * TYPE_SUM_LEN])
{
    uint8_t *at = bytes_out;

    for (size_t i = 0; i < sums->count; i++) {
        at = put(at, sums->sums[i].type, 4);
        at = put(at, sums->sums[i].records, 8);
        at = put(at, sums->sums[i].digest, 8);
    }
    return (size_t)(at - bytes_out);
}

void type_sums_hide(const struct type_sums *sums, const uint32_t *types, size_t type_count,
                    uint64_t *records, uint64_t *digest)
{
    for (size_t i = 0; i < type_count; i++) {
        const struct type_sum *sum = find((struct type_sums *)sums, types[i]);
        if (sum != NULL) {
            *records -= sum->records;
            *digest -= sum->digest;
        }
    }
}
