/* SPDX-License-Identifier: Apache-2.0
 *
 * A log-linear histogram of whole numbers (here: microseconds). Up to 255 each value
 * has a bucket of its own; above, each power of two is cut in 128 equal ones. So a
 * quantile is never below the exact one and at most 1/128 (0.8 %) above it, over
 * the whole range, in 36 kB, whatever was recorded. Least, greatest, count and sum are exact.
 */
#ifndef OUTPOST_LOAD_HISTOGRAM_H
#define OUTPOST_LOAD_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
    HISTOGRAM_LINEAR_BITS = 8,
    HISTOGRAM_HALF = 1 << (HISTOGRAM_LINEAR_BITS - 1),
    /* Greater values (of microseconds: above 12 days) count as this power of two's last. */
    HISTOGRAM_VALUE_BITS = 40,
    HISTOGRAM_BUCKETS = (HISTOGRAM_VALUE_BITS - HISTOGRAM_LINEAR_BITS + 2) * HISTOGRAM_HALF,
};

/* All zeros is an empty one. */
struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t least;
    uint64_t greatest;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *histogram, uint64_t value);
void histogram_clear(struct histogram *histogram);
/* Adds what the other one has. */
void histogram_add(struct histogram *histogram, const struct histogram *other);

/* The least value that at least this share (0..1) of all values does not exceed, as
 * said above; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);
double histogram_mean(const struct histogram *histogram);

/* The greatest value that falls into the same bucket. */
uint64_t histogram_bucket_end(size_t bucket);

#endif
