/* SPDX-License-Identifier: Apache-2.0
 *
 * The histogram against exact quantiles: many thousand values of several laws are kept
 * and sorted, and every quantile that a report tells must lie between the exact one
 * and 1/128 above it. Seeds are fixed.
 */
#include "draw.h"
#include "histogram.h"
#include "suite.h"

#include <math.h>

enum { VALUES = 20000 };

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static uint64_t exact_quantile(const uint64_t *sorted, size_t count, double share)
{
    size_t rank = (size_t)ceil(share * (double)count);

    return sorted[rank > 0 ? rank - 1 : 0];
}

static void check_quantiles(struct histogram *histogram, uint64_t *values, size_t count)
{
    static const double shares[] = {0, .001, .1, .25, .5, .75, .9, .99, .999, .9999, 1};

    qsort(values, count, sizeof *values, compare);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        uint64_t exact = exact_quantile(values, count, shares[i]);
        uint64_t told = histogram_quantile(histogram, shares[i]);
        CU_ASSERT(told >= exact);
        CU_ASSERT((double)told <= (double)exact * (1 + 1. / HISTOGRAM_HALF));
    }
    CU_ASSERT_EQUAL(histogram->least, values[0]);
    CU_ASSERT_EQUAL(histogram->greatest, values[count - 1]);
    CU_ASSERT_EQUAL(histogram->count, count);
}

static uint64_t even(struct draw *draw)
{
    return draw_below(draw, 1000000);
}

static uint64_t small(struct draw *draw)
{
    return draw_below(draw, 300);
}

static uint64_t long_tailed(struct draw *draw)
{
    return (uint64_t)exp(8 + 2.5 * draw_normal(draw));
}

static void test_quantiles_are_those_of_the_values(void)
{
    uint64_t (*const laws[])(struct draw * draw) = {even, small, long_tailed};
    static uint64_t values[VALUES];
    static struct histogram histogram;

    for (size_t law = 0; law < sizeof laws / sizeof *laws; law++)
        for (uint64_t seed = 1; seed <= 5; seed++) {
            struct draw draw = draw_stream(seed, 1, law);
            size_t count = seed == 1 ? 7 : VALUES;
            histogram_clear(&histogram);
            for (size_t i = 0; i < count; i++)
                histogram_record(&histogram, values[i] = laws[law](&draw));
            check_quantiles(&histogram, values, count);
        }
}

/* Two significant digits, as a property of the buckets themselves: every value is within
 * its bucket, whose end is at most 1/128 above it. */
static void test_every_bucket_is_narrow(void)
{
    static struct histogram histogram;

    for (unsigned bits = 0; bits < HISTOGRAM_VALUE_BITS; bits++)
        for (int64_t beside = -2; beside <= 2; beside++) {
            uint64_t value = (uint64_t)((int64_t)(UINT64_C(1) << bits) + beside);
            if ((int64_t)value < 0)
                continue;
            histogram_clear(&histogram);
            histogram_record(&histogram, value);
            histogram_record(&histogram, value * 4); /* so that the greatest does not help */
            uint64_t told = histogram_quantile(&histogram, .5);
            CU_ASSERT(told >= value);
            CU_ASSERT(bits >= HISTOGRAM_VALUE_BITS - 2 || told <= value + value / HISTOGRAM_HALF);
        }
}

static void test_bucket_ends_ascend(void)
{
    for (size_t bucket = 1; bucket < HISTOGRAM_BUCKETS; bucket++)
        CU_ASSERT(histogram_bucket_end(bucket) > histogram_bucket_end(bucket - 1));
}

static void test_what_is_too_great_counts_as_the_last(void)
{
    static struct histogram histogram;

    histogram_clear(&histogram);
    histogram_record(&histogram, UINT64_MAX);
    CU_ASSERT_EQUAL(histogram.greatest, UINT64_MAX);
    CU_ASSERT_EQUAL(histogram.buckets[HISTOGRAM_BUCKETS - 1], 1);
}

static void test_sums_of_histograms(void)
{
    static struct histogram all, odd, even_ones;
    struct draw draw = draw_stream(1, 2, 0);

    for (size_t i = 0; i < VALUES; i++) {
        uint64_t value = long_tailed(&draw);
        histogram_record(&all, value);
        histogram_record(i % 2 > 0 ? &odd : &even_ones, value);
    }
    histogram_add(&even_ones, &odd);
    CU_ASSERT_EQUAL(memcmp(&all, &even_ones, sizeof all), 0);
    histogram_clear(&odd);
    histogram_add(&even_ones, &odd);
    CU_ASSERT_EQUAL(memcmp(&all, &even_ones, sizeof all), 0);
    CU_ASSERT_EQUAL(histogram_quantile(&odd, .5), 0);
    CU_ASSERT_EQUAL(histogram_mean(&odd), 0);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_quantiles_are_those_of_the_values),
        SUITE_TEST(test_every_bucket_is_narrow),
        SUITE_TEST(test_bucket_ends_ascend),
        SUITE_TEST(test_what_is_too_great_counts_as_the_last),
        SUITE_TEST(test_sums_of_histograms),
    };

    return suite_run("load histogram", tests, sizeof tests / sizeof tests[0]);
}
