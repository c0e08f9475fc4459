/* SPDX-License-Identifier: Apache-2.0
 *
 * Message sizes that follow the link (pace.h), and waits between tries (backoff.h).
 */
#include "backoff.h"
#include "pace.h"
#include "suite.h"

enum { MOST = 1024 * 1024 };

static void breaks_under_way(struct pace *pace)
{
    pace_begins(pace, 0);
    pace_broke(pace);
}

/* A message of len bytes takes so long. */
static void passes(struct pace *pace, size_t len, int64_t elapsed_ms)
{
    pace_begins(pace, 1000);
    pace_passed(pace, len, 1000 + elapsed_ms, false);
}

static void test_a_link_that_breaks_with_nothing_under_way_says_nothing(void)
{
    struct pace pace;

    pace_start(&pace, 0, MOST);
    pace_broke(&pace);
    CU_ASSERT_EQUAL(pace.bytes, MOST);
    pace_passed(&pace, MOST, 1000000, false); /* it had been waiting for nothing */
    CU_ASSERT_EQUAL(pace.bytes, MOST);
    pace_begins(&pace, 0);
    pace_passed(&pace, 1, 10, true);
    pace_rests(&pace);
    pace_broke(&pace);
    CU_ASSERT_EQUAL(pace.bytes, MOST);
}

static void test_a_link_that_breaks_is_asked_for_less_until_messages_pass(void)
{
    struct pace pace;

    pace_start(&pace, 0, MOST);
    CU_ASSERT_EQUAL(pace.bytes, MOST);
    for (int i = 0; i < 3; i++)
        breaks_under_way(&pace);
    CU_ASSERT_EQUAL(pace.bytes, MOST / 64);
    for (int i = 0; i < 10; i++)
        breaks_under_way(&pace);
    CU_ASSERT_EQUAL(pace.bytes, PACE_BYTES_MIN);
}

static void test_full_messages_that_pass_at_once_ask_for_more(void)
{
    struct pace pace;

    pace_start(&pace, PACE_BYTES_MIN, MOST);
    CU_ASSERT_EQUAL(pace.bytes, PACE_BYTES_MIN);
    passes(&pace, PACE_BYTES_MIN, PACE_FAST_MS - 1);
    CU_ASSERT_EQUAL(pace.bytes, 2 * PACE_BYTES_MIN);
    passes(&pace, 100, 0); /* a short one says nothing */
    CU_ASSERT_EQUAL(pace.bytes, 2 * PACE_BYTES_MIN);
    passes(&pace, 2 * PACE_BYTES_MIN, PACE_FAST_MS); /* as it should be */
    CU_ASSERT_EQUAL(pace.bytes, 2 * PACE_BYTES_MIN);
    passes(&pace, 100, PACE_SLOW_MS + 1);
    CU_ASSERT_EQUAL(pace.bytes, PACE_BYTES_MIN);
    for (int i = 0; i < 20; i++)
        passes(&pace, MOST, 0);
    CU_ASSERT_EQUAL(pace.bytes, MOST);
}

static void test_the_settings_are_never_exceeded(void)
{
    struct pace pace;

    pace_start(&pace, 500000, 100000);
    CU_ASSERT_EQUAL(pace.bytes, 100000);
    pace_set_most(&pace, 200000); /* nothing was learned: all of it */
    CU_ASSERT_EQUAL(pace.bytes, 200000);
    breaks_under_way(&pace);
    pace_set_most(&pace, 300000);
    CU_ASSERT_EQUAL(pace.bytes, 50000);
    pace_set_most(&pace, 2000); /* below the least that is worth a frame, and still obeyed */
    CU_ASSERT_EQUAL(pace.bytes, 2000);
    breaks_under_way(&pace);
    CU_ASSERT_EQUAL(pace.bytes, 2000);
}

static void test_waits_grow_to_their_most_and_begin_anew(void)
{
    static const uint32_t randoms[] = {0, 1, 12345, UINT32_MAX};

    for (size_t r = 0; r < sizeof randoms / sizeof randoms[0]; r++) {
        struct backoff backoff = {0};
        int64_t middle = BACKOFF_FIRST_MS;
        for (int i = 0; i < 20; i++) {
            int64_t wait = backoff_next(&backoff, randoms[r]);
            CU_ASSERT_TRUE(wait >= middle - middle / 5 && wait <= middle + middle / 5);
            middle = middle * 8 / 5 < BACKOFF_MOST_MS ? middle * 8 / 5 : BACKOFF_MOST_MS;
        }
        CU_ASSERT_EQUAL(middle, BACKOFF_MOST_MS);
        backoff_reset(&backoff);
        CU_ASSERT_TRUE(backoff_next(&backoff, randoms[r]) <=
                       BACKOFF_FIRST_MS + BACKOFF_FIRST_MS / 5);
    }
}

static void test_the_jitter_spreads_over_two_fifths(void)
{
    int64_t least = INT64_MAX, greatest = 0;

    for (uint32_t random = 0; random < 1000; random++) {
        struct backoff backoff = {0};
        int64_t wait = backoff_next(&backoff, random);
        least = wait < least ? wait : least;
        greatest = wait > greatest ? wait : greatest;
    }
    CU_ASSERT_EQUAL(least, 800);
    CU_ASSERT_EQUAL(greatest, 1200);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_a_link_that_breaks_is_asked_for_less_until_messages_pass),
        SUITE_TEST(test_a_link_that_breaks_with_nothing_under_way_says_nothing),
        SUITE_TEST(test_full_messages_that_pass_at_once_ask_for_more),
        SUITE_TEST(test_the_settings_are_never_exceeded),
        SUITE_TEST(test_waits_grow_to_their_most_and_begin_anew),
        SUITE_TEST(test_the_jitter_spreads_over_two_fifths),
    };

    return suite_run("pace", tests, sizeof tests / sizeof tests[0]);
}
