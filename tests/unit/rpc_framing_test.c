/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: messages come out of the byte stream whole, wherever it is cut, and
 * what is too large is refused by its prefix. Method: a stream of messages fed
 * one byte at a time through the queue that a call uses.
 */
#include "../../rpc/framing.h"
#include "../../rpc/queue.h"
#include "suite.h"

enum { LIMIT = 1000 };

static void put(struct queue *queue, const void *data, size_t len)
{
    CU_ASSERT_FATAL(queue_append(queue, rpc_bytes_view(data, len)));
}

static void test_one_byte_at_a_time(void)
{
    static const size_t lens[] = {0, 1, 5, 300, LIMIT, 0, 2};
    struct queue stream;
    struct queue inbox;
    struct framing_message message;
    uint8_t prefix[FRAMING_PREFIX_LEN];
    uint8_t body[LIMIT];
    size_t found = 0;

    queue_init(&stream, 10000);
    queue_init(&inbox, LIMIT + FRAMING_PREFIX_LEN);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        memset(body, (int)i, lens[i]);
        framing_put_prefix(prefix, i % 2 == 1, lens[i]);
        put(&stream, prefix, sizeof prefix);
        put(&stream, body, lens[i]);
    }
    while (queue_len(&stream) > 0) {
        put(&inbox, queue_view(&stream).data, 1);
        queue_drop(&stream, 1);
        if (framing_next(queue_view(&inbox), LIMIT, &message) == FRAMING_MORE)
            continue;
        memset(body, (int)found, sizeof body);
        CU_ASSERT_EQUAL(message.compressed, found % 2 == 1);
        CU_ASSERT(rpc_bytes_equal(message.bytes, rpc_bytes_view(body, lens[found])));
        queue_drop(&inbox, message.framed_len);
        CU_ASSERT_EQUAL(queue_len(&inbox), 0);
        found++;
    }
    CU_ASSERT_EQUAL(found, sizeof lens / sizeof lens[0]);
    queue_clear(&stream);
    queue_clear(&inbox);
}

static void test_refused_by_prefix(void)
{
    struct framing_message message;
    uint8_t prefix[FRAMING_PREFIX_LEN];

    framing_put_prefix(prefix, false, LIMIT + 1);
    CU_ASSERT_EQUAL(framing_next(rpc_bytes_view(prefix, 4), LIMIT, &message), FRAMING_MORE);
    CU_ASSERT_EQUAL(framing_next(rpc_bytes_view(prefix, 5), LIMIT, &message), FRAMING_TOO_LARGE);
    framing_put_prefix(prefix, true, 0xffffffff);
    CU_ASSERT_EQUAL(framing_next(rpc_bytes_view(prefix, 5), LIMIT, &message), FRAMING_TOO_LARGE);
    framing_put_prefix(prefix, false, 0);
    prefix[0] = 2;
    CU_ASSERT_EQUAL(framing_next(rpc_bytes_view(prefix, 5), LIMIT, &message), FRAMING_BAD_FLAG);
}

/* The queue keeps its cap, and its content while it is compacted. */
static void test_queue(void)
{
    struct queue queue;
    uint8_t written = 0;
    uint8_t read = 0;

    queue_init(&queue, 1000);
    for (int round = 0; round < 500; round++) {
        while (queue_len(&queue) < 700) {
            put(&queue, &written, 1);
            written++;
        }
        for (int i = 0; i < 1 + round % 650; i++) {
            CU_ASSERT_EQUAL(queue_view(&queue).data[0], read);
            queue_drop(&queue, 1);
            read++;
        }
    }
    CU_ASSERT_PTR_NULL(queue_reserve(&queue, 1000 - queue_len(&queue) + 1));
    CU_ASSERT_PTR_NOT_NULL(queue_reserve(&queue, 1000 - queue_len(&queue)));
    queue_clear(&queue);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_one_byte_at_a_time),
        SUITE_TEST(test_refused_by_prefix),
        SUITE_TEST(test_queue),
    };

    return suite_run("rpc_framing", tests, sizeof tests / sizeof tests[0]);
}
