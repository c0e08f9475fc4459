/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: a cursor comes back as it was given, and bytes that are not one are refused.
 * Method: random cursors there and back; each of them cut at every byte, and with
 * every bit turned: then it is refused, or it is a cursor that encodes to something
 * within the limits. What a forged one can say is looked up in the log and in the scope
 * (store_test, blackbox_moves).
 */
#include "cursor.h"
#include "suite.h"

static uint64_t state = 20261122;

static uint64_t next_random(void)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return state >> 33;
}

static void fill(void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)(next_random() + 1);
}

static size_t random_types(uint32_t types[ROLLOUT_TYPES_MAX])
{
    size_t count = next_random() % (ROLLOUT_TYPES_MAX + 1);

    for (size_t i = 0; i < count; i++)
        types[i] = 1 + (uint32_t)next_random() % 1000000;
    return count;
}

static bool same_types(const uint32_t *a, size_t a_count, const uint32_t *b, size_t b_count)
{
    return a_count == b_count && memcmp(a, b, a_count * sizeof *a) == 0;
}

static struct cursor random_cursor(size_t region_count)
{
    struct cursor cursor = {.region_count = region_count};

    for (size_t i = 0; i < region_count; i++) {
        struct cursor_region *region = &cursor.regions[i];
        if (i > 0)
            fill(&region->region_id, sizeof region->region_id);
        region->at.seq = next_random() % 1000;
        if (region->at.seq > 0)
            fill(region->at.hash, sizeof region->at.hash);
        region->seen = region->at;
        if (next_random() % 2 == 0) {
            region->seen.seq += 1 + next_random() % 1000;
            fill(region->seen.hash, sizeof region->seen.hash);
        }
        region->leaving = i > 1;
        if (i < 2) { /* of regions in scope */
            region->without_count = random_types(region->without);
            region->fill_count = random_types(region->fill);
        }
        region->in_snapshot = next_random() % 2 == 0;
        if (region->in_snapshot || region->fill_count > 0) {
            fill(&region->position.family, RECORD_UUID_LEN);
            fill(&region->position.id, RECORD_UUID_LEN);
            region->position.type = (uint32_t)next_random();
        }
        if (!region->in_snapshot)
            continue;
        region->high_water.seq = next_random();
        fill(region->high_water.hash, sizeof region->high_water.hash);
        region->sent = next_random();
        region->in_rest = next_random() % 2 == 0;
        if (next_random() % 3 > 0)
            fill(&region->facility, sizeof region->facility);
    }
    return cursor;
}

static bool same_place(const struct store_place *a, const struct store_place *b)
{
    return a->seq == b->seq && memcmp(a->hash, b->hash, sizeof a->hash) == 0;
}

static bool same_region(const struct cursor_region *a, const struct cursor_region *b)
{
    return record_uuid_compare(&a->region_id, &b->region_id) == 0 && same_place(&a->at, &b->at) &&
           same_place(&a->seen, &b->seen) && a->in_snapshot == b->in_snapshot &&
           same_place(&a->high_water, &b->high_water) &&
           record_uuid_compare(&a->facility, &b->facility) == 0 && a->in_rest == b->in_rest &&
           record_key_compare(&a->position, &b->position) == 0 && a->sent == b->sent &&
           same_types(a->without, a->without_count, b->without, b->without_count) &&
           same_types(a->fill, a->fill_count, b->fill, b->fill_count) && a->leaving == b->leaving;
}

static void test_R3_a_cursor_comes_back_as_it_was_given(void)
{
    for (size_t round = 0; round < 2000; round++) {
        struct cursor given = random_cursor(round % (STORE_REGIONS_PER_DEVICE_MAX + 1)), back;
        struct rpc_buffer bytes;

        rpc_buffer_init(&bytes, CURSOR_BYTES_MAX);
        cursor_encode(&given, &bytes);
        CU_ASSERT_FALSE_FATAL(bytes.failed); /* the largest fits the limit, too */
        CU_ASSERT_TRUE_FATAL(cursor_parse(rpc_buffer_view(&bytes), &back));
        CU_ASSERT_EQUAL_FATAL(back.region_count, given.region_count);
        for (size_t i = 0; i < given.region_count; i++)
            CU_ASSERT_TRUE(same_region(&given.regions[i], &back.regions[i]));
        rpc_buffer_deinit(&bytes);
    }
}

/* Refused, or a cursor that can be worked with. */
static void expect_harmless(struct rpc_bytes bytes)
{
    struct cursor cursor;
    struct rpc_buffer again;

    if (!cursor_parse(bytes, &cursor))
        return;
    CU_ASSERT_TRUE(cursor.region_count <= STORE_REGIONS_PER_DEVICE_MAX);
    rpc_buffer_init(&again, CURSOR_BYTES_MAX);
    cursor_encode(&cursor, &again);
    CU_ASSERT_FALSE(again.failed);
    rpc_buffer_deinit(&again);
}

static void test_R3_a_cut_or_spoilt_cursor_harms_nobody(void)
{
    for (size_t round = 0; round < 60; round++) {
        struct cursor given = random_cursor(1 + round % 4);
        struct rpc_buffer bytes;

        rpc_buffer_init(&bytes, CURSOR_BYTES_MAX);
        cursor_encode(&given, &bytes);
        for (size_t len = 0; len < bytes.len; len++)
            expect_harmless(rpc_bytes_view(bytes.data, len));
        for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            expect_harmless(rpc_buffer_view(&bytes));
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        rpc_buffer_deinit(&bytes);
    }
}

static bool accepts_region(const void *region, size_t len)
{
    struct rpc_buffer bytes;
    struct cursor cursor;

    rpc_buffer_init(&bytes, CURSOR_BYTES_MAX);
    wire_put_message(&bytes, 1, rpc_bytes_view(region, len));
    bool accepted = cursor_parse(rpc_buffer_view(&bytes), &cursor);
    rpc_buffer_deinit(&bytes);
    return accepted;
}

static void test_I12_wrong_lengths_and_too_many_regions_are_refused(void)
{
    static const struct {
        uint8_t number; /* of the region's field */
        size_t len;
    } cases[] = {{1, 15}, {1, 17}, {2, 23}, {3, 25}, {4, 8}, {5, 35}, {5, 37}, {8, 0}, {8, 15}};
    struct rpc_buffer bytes;
    struct cursor cursor;
    static const uint8_t zeros[64];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rpc_buffer_init(&bytes, CURSOR_BYTES_MAX);
        wire_put_message(&bytes, cases[i].number, rpc_bytes_view(zeros, cases[i].len));
        CU_ASSERT_FALSE(accepts_region(bytes.data, bytes.len));
        rpc_buffer_deinit(&bytes);
    }
    rpc_buffer_init(&bytes, CURSOR_BYTES_MAX);
    for (size_t i = 0; i <= STORE_REGIONS_PER_DEVICE_MAX; i++)
        wire_put_message(&bytes, 1, rpc_bytes_view(NULL, 0));
    CU_ASSERT_FALSE(cursor_parse(rpc_buffer_view(&bytes), &cursor));
    rpc_buffer_deinit(&bytes);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_R3_a_cursor_comes_back_as_it_was_given),
        SUITE_TEST(test_R3_a_cut_or_spoilt_cursor_harms_nobody),
        SUITE_TEST(test_I12_wrong_lengths_and_too_many_regions_are_refused),
    };

    return suite_run("cursor", tests, sizeof tests / sizeof tests[0]);
}
