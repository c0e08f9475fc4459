/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: metadata keeps its bytes and its order, its limits hold, and nothing a
 * peer sends makes a decoder fail. Method: round trips, base64 in all lengths
 * and paddings, percent-encoding of every byte, lists filled to the brim.
 */
#include "../../rpc/metadata.h"
#include "suite.h"

#include <stdio.h>

static struct rpc_bytes text(const char *literal)
{
    return rpc_bytes_view(literal, strlen(literal));
}

static void test_base64_round_trip(void)
{
    uint8_t bytes[100];
    uint8_t encoded[160];
    uint8_t decoded[160];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        size_t encoded_len = base64_encoded_len(len);
        size_t decoded_len = 0;
        base64_encode(rpc_bytes_view(bytes, len), encoded);
        CU_ASSERT(base64_decode(rpc_bytes_view(encoded, encoded_len), decoded, &decoded_len));
        CU_ASSERT_EQUAL(decoded_len, len);
        CU_ASSERT_EQUAL(memcmp(decoded, bytes, len), 0);
        while (encoded_len % 4 != 0)
            encoded[encoded_len++] = '=';
        CU_ASSERT(base64_decode(rpc_bytes_view(encoded, encoded_len), decoded, &decoded_len));
        CU_ASSERT_EQUAL(decoded_len, len);
    }
}

static void test_base64_refuses(void)
{
    static const char *const bad[] = {"A", "AAAAA", "A=", "AA=", "A===", "AB*C", "====", "AA=A"};
    uint8_t decoded[16];
    size_t len;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_FALSE(base64_decode(text(bad[i]), decoded, &len));
}

static void test_percent_round_trip(void)
{
    char every[256];
    uint8_t encoded[3 * sizeof every];
    char decoded[sizeof every];

    for (size_t i = 0; i < 255; i++)
        every[i] = (char)(i + 1);
    every[255] = '\0';
    size_t len = percent_encode(every, encoded);
    for (size_t i = 0; i < len; i++)
        CU_ASSERT(encoded[i] >= 0x20 && encoded[i] <= 0x7e);
    percent_decode(rpc_bytes_view(encoded, len), decoded, sizeof decoded);
    CU_ASSERT_STRING_EQUAL(decoded, every);
}

static void test_percent_decode_never_fails(void)
{
    char decoded[8];

    percent_decode(text("%"), decoded, sizeof decoded);
    CU_ASSERT_STRING_EQUAL(decoded, "%");
    percent_decode(text("%4"), decoded, sizeof decoded);
    CU_ASSERT_STRING_EQUAL(decoded, "%4");
    percent_decode(text("%zz%41"), decoded, sizeof decoded);
    CU_ASSERT_STRING_EQUAL(decoded, "%zzA");
    percent_decode(text("longer than that"), decoded, sizeof decoded);
    CU_ASSERT_STRING_EQUAL(decoded, "longer ");
}

static void test_names(void)
{
    static const char *const bad[] = {"", "Upper", "sp ace", "grpc-status", ":path", "te"};
    struct metadata metadata = {0};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_EQUAL(metadata_add(&metadata, text(bad[i]), text("v")), METADATA_INVALID);
    CU_ASSERT_EQUAL(metadata_add(&metadata, text("a.b_c-1"), text("v")), METADATA_ADDED);
    CU_ASSERT_EQUAL(metadata_add(&metadata, text("text"), text("\x80")), METADATA_INVALID);
    CU_ASSERT_EQUAL(metadata_add(&metadata, text("any-bin"), text("\x80")), METADATA_ADDED);
    CU_ASSERT_EQUAL(metadata_view(&metadata).count, 2);
    metadata_deinit(&metadata);
}

/* Entries stay right while the list's memory moves under them. */
static void test_order_and_growth(void)
{
    struct metadata metadata = {0};
    char value[32];

    for (int i = 0; i < RPC_METADATA_MAX; i++) {
        int len = snprintf(value, sizeof value, "value %d", i);
        CU_ASSERT_EQUAL(
            metadata_add_field(&metadata, text("twice"), rpc_bytes_view(value, (size_t)len)),
            METADATA_ADDED);
    }
    CU_ASSERT_EQUAL(metadata_add_field(&metadata, text("more"), text("")), METADATA_TOO_LARGE);
    struct rpc_metadata_list list = metadata_view(&metadata);
    for (size_t i = 0; i < list.count; i++) {
        int len = snprintf(value, sizeof value, "value %zu", i);
        CU_ASSERT(rpc_bytes_equal(list.entries[i].name, text("twice")));
        CU_ASSERT(rpc_bytes_equal(list.entries[i].value, rpc_bytes_view(value, (size_t)len)));
    }
    CU_ASSERT_PTR_EQUAL(rpc_metadata_find(list, "twice"), &list.entries[0]);
    CU_ASSERT_PTR_NULL(rpc_metadata_find(list, "twic"));
    metadata_deinit(&metadata);
}

/* "-bin" values that a proxy joined by commas are several entries. */
static void test_joined_binary_fields(void)
{
    struct metadata metadata = {0};

    CU_ASSERT_EQUAL(metadata_add_field(&metadata, text("k-bin"), text("AQ,AgM=,")), METADATA_ADDED);
    CU_ASSERT_EQUAL(metadata_add_field(&metadata, text("t"), text("a,b")), METADATA_ADDED);
    struct rpc_metadata_list list = metadata_view(&metadata);
    CU_ASSERT_EQUAL_FATAL(list.count, 4);
    CU_ASSERT(rpc_bytes_equal(list.entries[0].value, text("\x01")));
    CU_ASSERT(rpc_bytes_equal(list.entries[1].value, text("\x02\x03")));
    CU_ASSERT_EQUAL(list.entries[2].value.len, 0);
    CU_ASSERT(rpc_bytes_equal(list.entries[3].value, text("a,b")));
    CU_ASSERT_EQUAL(metadata_add_field(&metadata, text("k-bin"), text("A")), METADATA_INVALID);
    metadata_deinit(&metadata);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_base64_round_trip),
        SUITE_TEST(test_base64_refuses),
        SUITE_TEST(test_percent_round_trip),
        SUITE_TEST(test_percent_decode_never_fails),
        SUITE_TEST(test_names),
        SUITE_TEST(test_order_and_growth),
        SUITE_TEST(test_joined_binary_fields),
    };

    return suite_run("rpc_metadata", tests, sizeof tests / sizeof tests[0]);
}
