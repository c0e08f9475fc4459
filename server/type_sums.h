/* SPDX-License-Identifier: Apache-2.0
 *
 * Type sums: of one region, for each record type, how many records live and what they
 * add to the region's digest (I13). What is withheld from a device is taken out of the
 * region's sums by these, so that its digest can still be compared.
 *
 * Pure. Kept in the region's counter row, and so written with it.
 */
#ifndef OUTPOST_SERVER_TYPE_SUMS_H
#define OUTPOST_SERVER_TYPE_SUMS_H

#include "outpost/record.h"

enum {
    /* Types that are summed, known to this server or not: bounds the counter row. What a
     * device makes up beyond them is counted in the region alone, and cannot be
     * withheld. */
    TYPE_SUMS_MAX = 64,
    TYPE_SUM_LEN = 4 + 8 + 8, /* of one, encoded */
};

struct type_sum {
    uint32_t type;
    uint64_t records;
    uint64_t digest;
};

struct type_sums {
    size_t count;
    struct type_sum sums[TYPE_SUMS_MAX];
};

/* Counts a living record in or out; share is what it adds to the digest. */
void type_sums_put_in(struct type_sums *sums, uint32_t type, uint64_t share);
void type_sums_take_out(struct type_sums *sums, uint32_t type, uint64_t share);

/* Bytes that are not what type_sums_encode wrote give no sums. */
void type_sums_parse(struct rpc_bytes bytes, struct type_sums *sums_out);
/* The length, TYPE_SUMS_MAX * TYPE_SUM_LEN at most. */
size_t type_sums_encode(const struct type_sums *sums,
                        uint8_t bytes_out[TYPE_SUMS_MAX * TYPE_SUM_LEN]);

/* Takes the types out of a region's sums. */
void type_sums_hide(const struct type_sums *sums, const uint32_t *types, size_t type_count,
                    uint64_t *records, uint64_t *digest);

#endif
