/* SPDX-License-Identifier: Apache-2.0
 *
 * Profiles and schedules: the same seed is the same schedule, another seed another; as many
 * arrivals come as the profile's area says, at the times at which it says so, in every
 * profile; work and devices come in their shares.
 */
#include "schedule.h"
#include "suite.h"

#include <math.h>

static struct profile made_profile(enum profile_kind kind)
{
    struct profile profile = {.kind = kind, .rate = 40, .peak = 200, .seconds = 50, .steps = 4};

    profile_make(&profile);
    return profile;
}

static struct schedule made_schedule(const struct profile *profile, uint64_t seed, bool poisson)
{
    struct schedule schedule;
    struct schedule_options options = {.seed = seed,
                                       .profile = profile,
                                       .poisson = poisson,
                                       .devices = 100,
                                       .shares = {[WORK_READING] = 3, [WORK_EDIT] = 1}};

    schedule_init(&schedule, &options);
    return schedule;
}

static bool is_same(const struct arrival *a, const struct arrival *b)
{
    return a->at_us == b->at_us && a->device == b->device && a->work == b->work &&
           a->seed == b->seed;
}

static void test_a_seed_is_a_schedule(void)
{
    for (int kind = 0; kind < PROFILE_KINDS; kind++)
        for (int poisson = 0; poisson < 2; poisson++) {
            struct profile profile = made_profile((enum profile_kind)kind);
            struct schedule one = made_schedule(&profile, 7, poisson);
            struct schedule same = made_schedule(&profile, 7, poisson);
            struct schedule other = made_schedule(&profile, 8, poisson);
            struct arrival a, b, c;
            size_t count = 0, different = 0;
            while (schedule_next(&one, &a)) {
                CU_ASSERT_TRUE_FATAL(schedule_next(&same, &b));
                CU_ASSERT_TRUE(is_same(&a, &b));
                different += !schedule_next(&other, &c) || !is_same(&a, &c);
                count++;
            }
            CU_ASSERT_FALSE(schedule_next(&same, &b));
            CU_ASSERT(different == count);
        }
}

/* What a profile's area up to a moment is, summed in small steps. */
static double area(const struct profile *profile, double until)
{
    const double step = .0005;
    double sum = 0;

    for (double second = 0; second < until; second += step)
        sum += profile_rate(profile, second + step / 2) * step;
    return sum;
}

static void test_arrivals_come_when_the_profile_says(void)
{
    for (int kind = 0; kind < PROFILE_KINDS; kind++) {
        struct profile profile = made_profile((enum profile_kind)kind);
        struct schedule schedule = made_schedule(&profile, 1, false);
        struct arrival arrival;
        int64_t last_us = -1;
        size_t count = 0;
        CU_ASSERT_DOUBLE_EQUAL(profile_arrivals(&profile), area(&profile, 50), .5);
        while (schedule_next(&schedule, &arrival)) {
            CU_ASSERT(arrival.at_us >= last_us);
            last_us = arrival.at_us;
            if (++count % 500 == 0)
                CU_ASSERT_DOUBLE_EQUAL(area(&profile, (double)arrival.at_us / 1e6), (double)count,
                                       1);
        }
        CU_ASSERT_EQUAL(count, (size_t)profile_arrivals(&profile));
        CU_ASSERT(last_us <= 50 * INT64_C(1000000));
    }
}

static void test_profiles_have_their_shapes(void)
{
    struct profile ramp = made_profile(PROFILE_RAMP), step = made_profile(PROFILE_STEP);
    struct profile spike = made_profile(PROFILE_SPIKE), flat = made_profile(PROFILE_CONSTANT);

    CU_ASSERT_DOUBLE_EQUAL(profile_rate(&flat, 49), 40, .001);
    CU_ASSERT_DOUBLE_EQUAL(profile_rate(&ramp, 25), 120, .001);
    CU_ASSERT_DOUBLE_EQUAL(profile_rate(&step, 1), 40, .001);
    CU_ASSERT_DOUBLE_EQUAL(profile_rate(&step, 49), 200, .001);
    CU_ASSERT_DOUBLE_EQUAL(profile_rate(&spike, 1), 40, .001);
    CU_ASSERT_DOUBLE_EQUAL(profile_rate(&spike, 20), 200, .001);
    CU_ASSERT_DOUBLE_EQUAL(profile_rate(&spike, 49), 40, .001);
    CU_ASSERT_EQUAL(profile_rate(&spike, 51), 0);
}

static void test_random_moments_have_the_same_rate(void)
{
    struct profile profile = made_profile(PROFILE_SPIKE);
    double counted = 0, expected = profile_arrivals(&profile);

    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct schedule schedule = made_schedule(&profile, seed, true);
        struct arrival arrival;
        while (schedule_next(&schedule, &arrival))
            counted++;
    }
    /* Of a Poisson law: five standard deviations of 20 runs together. */
    CU_ASSERT_DOUBLE_EQUAL(counted, 20 * expected, 5 * sqrt(20 * expected));
}

static void test_work_and_devices_come_in_their_shares(void)
{
    struct profile profile = made_profile(PROFILE_CONSTANT);
    struct schedule schedule = made_schedule(&profile, 3, false);
    double works[WORK_COUNT] = {0}, devices[100] = {0};
    struct arrival arrival;
    const int count = 100000;

    for (int i = 0; i < count; i++) {
        schedule_draw(&schedule, &arrival);
        works[arrival.work]++;
        devices[arrival.device]++;
    }
    CU_ASSERT_DOUBLE_EQUAL(works[WORK_READING] / count, .75, .01);
    CU_ASSERT_DOUBLE_EQUAL(works[WORK_EDIT] / count, .25, .01);
    for (int i = 0; i < 100; i++)
        CU_ASSERT_DOUBLE_EQUAL(devices[i] / count, .01, .002);
}

static void test_zipf(void)
{
    struct zipf law;
    struct draw draw = draw_stream(5, 1, 1);
    double picked[10] = {0}, sum = 0;
    const int count = 100000;

    CU_ASSERT_TRUE_FATAL(zipf_init(&law, 10, 1));
    for (int i = 0; i < count; i++)
        picked[zipf_pick(&law, &draw)]++;
    for (size_t i = 0; i < 10; i++) {
        CU_ASSERT_DOUBLE_EQUAL(picked[i] / count, zipf_share(&law, i), .01);
        CU_ASSERT_DOUBLE_EQUAL(zipf_share(&law, i) * (double)(i + 1), zipf_share(&law, 0), 1e-9);
        sum += zipf_share(&law, i);
    }
    CU_ASSERT_DOUBLE_EQUAL(sum, 1, 1e-9);
    zipf_deinit(&law);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_a_seed_is_a_schedule),
        SUITE_TEST(test_arrivals_come_when_the_profile_says),
        SUITE_TEST(test_profiles_have_their_shapes),
        SUITE_TEST(test_random_moments_have_the_same_rate),
        SUITE_TEST(test_work_and_devices_come_in_their_shares),
        SUITE_TEST(test_zipf),
    };

    return suite_run("load schedule", tests, sizeof tests / sizeof tests[0]);
}
