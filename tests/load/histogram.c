/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

#include <math.h>
#include <string.h>

static unsigned bits_of(uint64_t value)
{
    unsigned bits = 0;

    while (value >> bits > 0)
        bits++;
    return bits;
}

/* Bucket = shift * 128 + the value's leading 8 bits, where shift is what is cut off. */
static size_t bucket_of(uint64_t value)
{
    const uint64_t most = (UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1;

    if (value > most)
        value = most;
    unsigned bits = bits_of(value);
    unsigned shift = bits > HISTOGRAM_LINEAR_BITS ? bits - HISTOGRAM_LINEAR_BITS : 0;
    return shift * (size_t)HISTOGRAM_HALF + (size_t)(value >> shift);
}

uint64_t histogram_bucket_end(size_t bucket)
{
    if (bucket < 2 * (size_t)HISTOGRAM_HALF)
        return bucket;
    size_t shift = bucket / HISTOGRAM_HALF - 1;
    uint64_t leading = HISTOGRAM_HALF + bucket % HISTOGRAM_HALF;

    return ((leading + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    if (histogram->count == 0 || value < histogram->least)
        histogram->least = value;
    if (value > histogram->greatest)
        histogram->greatest = value;
    histogram->count++;
    histogram->sum += value;
    histogram->buckets[bucket_of(value)]++;
}

void histogram_clear(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

void histogram_add(struct histogram *histogram, const struct histogram *other)
{
    if (other->count == 0)
        return;
    if (histogram->count == 0 || other->least < histogram->least)
        histogram->least = other->least;
    if (other->greatest > histogram->greatest)
        histogram->greatest = other->greatest;
    histogram->count += other->count;
    histogram->sum += other->sum;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram->buckets[i] += other->buckets[i];
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t rank = (uint64_t)ceil(share * (double)histogram->count);
    uint64_t seen = 0;

    if (rank <= 1)
        return histogram->least;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank) {
            uint64_t end = histogram_bucket_end(i);
            return end < histogram->greatest ? end : histogram->greatest;
        }
    }
    return histogram->greatest;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count > 0 ? (double)histogram->sum / (double)histogram->count : 0;
}
