/* SPDX-License-Identifier: Apache-2.0
 *
 * Networks on a clock of the test's own: bytes come out as they went in, not before the
 * bandwidth and half a round trip allow, and not later; the buffer is bounded; names and
 * numbers are read, nonsense is refused.
 */
#include "draw.h"
#include "link.h"
#include "suite.h"

static struct link_quality parse(const char *text)
{
    struct link_quality quality = {.name = ""};

    CU_ASSERT_TRUE(link_quality_parse(text, strlen(text), &quality));
    return quality;
}

static bool is_refused(const char *text)
{
    struct link_quality quality;

    return !link_quality_parse(text, strlen(text), &quality);
}

static void test_what_the_line_says(void)
{
    struct link_quality quality = parse("256:300:5");

    CU_ASSERT_EQUAL(quality.bytes_per_s, 32000);
    CU_ASSERT_EQUAL(quality.round_trip_us, 300000);
    CU_ASSERT_EQUAL(quality.cut, .05);
    CU_ASSERT_STRING_EQUAL(quality.name, "256:300:5");
    CU_ASSERT_EQUAL(parse("256:300").cut, 0);
    CU_ASSERT_FALSE(link_is_shaped(&(struct link_quality){.cut = 1}));
    quality = parse("2g");
    CU_ASSERT_TRUE(link_is_shaped(&quality));
    quality = parse("lan");
    CU_ASSERT_FALSE(link_is_shaped(&quality));
}

static void test_nonsense_is_refused(void)
{
    static const char *const texts[] = {
        "",          "5g",        "256",   "256:",       "256:x",    "-1:20",
        "256:70000", "256:20:-1", "x:y:z", "256:20:101", "256:20:1x"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        CU_ASSERT_TRUE(is_refused(texts[i]));
}

/* Random pieces go in, and are taken in other random pieces. */
static void test_bytes_come_out_as_they_went_in(void)
{
    struct link_quality quality = parse("800:100");
    struct draw draw = draw_stream(1, 1, 1);
    struct pipe pipe = {0};
    static uint8_t sent[200000];
    size_t in = 0, out = 0;
    int64_t now_us = 0;

    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)draw_next(&draw);
    while (out < sizeof sent) {
        size_t len = 1 + draw_below(&draw, 5000);
        len = len < sizeof sent - in ? len : sizeof sent - in;
        if (len > 0 && !pipe_full(&pipe)) {
            pipe_put(&pipe, &quality, rpc_bytes_view(sent + in, len), now_us);
            in += len;
        }
        CU_ASSERT(pipe.queued < LINK_QUEUE_BYTES + 5000);
        CU_ASSERT_EQUAL(pipe.queued, in - out);
        struct rpc_bytes bytes = pipe_arrived(&pipe, now_us);
        if (bytes.len == 0) {
            now_us = pipe_due_us(&pipe);
            continue;
        }
        len = 1 + draw_below(&draw, bytes.len);
        CU_ASSERT_EQUAL(memcmp(sent + out, bytes.data, len), 0);
        pipe_took(&pipe, len);
        out += len;
    }
    CU_ASSERT_EQUAL(pipe_due_us(&pipe), -1);
    /* 100,000 bytes a second and half of 100 ms: never faster, and always in use. */
    CU_ASSERT(now_us >= 2000000 + 50000);
    CU_ASSERT(now_us <= 2000000 + 50000 + 1000000);
}

static void test_a_round_trip_delays_and_does_not_slow(void)
{
    struct link_quality quality = parse("0:200");
    struct pipe pipe = {0};
    uint8_t bytes[10 * LINK_FRAME_BYTES] = {0};

    pipe_put(&pipe, &quality, rpc_bytes_view(bytes, sizeof bytes), 1000);
    CU_ASSERT_EQUAL(pipe_arrived(&pipe, 1000 + 99999).len, 0);
    for (int i = 0; i < 10; i++) {
        CU_ASSERT_EQUAL(pipe_arrived(&pipe, 1000 + 100000).len, LINK_FRAME_BYTES);
        pipe_took(&pipe, LINK_FRAME_BYTES);
    }
    CU_ASSERT_EQUAL(pipe.queued, 0);
}

static void test_what_is_under_way_can_be_dropped(void)
{
    struct link_quality quality = parse("2g");
    struct pipe pipe = {0};
    uint8_t bytes[5000] = {0};

    pipe_put(&pipe, &quality, rpc_bytes_view(bytes, sizeof bytes), 0);
    pipe_took(&pipe, 7);
    pipe_deinit(&pipe);
    CU_ASSERT_EQUAL(pipe.queued, 0);
    CU_ASSERT_PTR_NULL(pipe.first);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_what_the_line_says),
        SUITE_TEST(test_nonsense_is_refused),
        SUITE_TEST(test_bytes_come_out_as_they_went_in),
        SUITE_TEST(test_a_round_trip_delays_and_does_not_slow),
        SUITE_TEST(test_what_is_under_way_can_be_dropped),
    };

    return suite_run("load link", tests, sizeof tests / sizeof tests[0]);
}
