/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: what is compressed comes back, and nothing inflates past its cap or
 * past a corrupt byte. Method: round trips around the cap, bombs of both
 * formats, every byte of a compressed message damaged in turn and every prefix
 * of it cut off.
 */
#include "../../rpc/compress.h"
#include "suite.h"

enum { PLAIN_BYTES = 100000 };

static const enum rpc_encoding encodings[] = {RPC_ENCODING_GZIP, RPC_ENCODING_ZSTD};
static struct compressor compressor;

static void fill(uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i / 50 * 7);
}

static enum inflate_result inflate_up_to(enum rpc_encoding encoding, struct rpc_bytes packed,
                                         size_t cap, struct rpc_buffer *out)
{
    rpc_buffer_init(out, cap);
    return compressor_inflate(&compressor, encoding, packed, out);
}

static void test_round_trip_and_cap(void)
{
    static uint8_t plain[PLAIN_BYTES];
    static uint8_t packed[PLAIN_BYTES];
    struct rpc_buffer out;

    fill(plain, sizeof plain);
    for (size_t i = 0; i < 2; i++) {
        size_t len = compressor_shrink(&compressor, encodings[i],
                                       rpc_bytes_view(plain, sizeof plain), packed, sizeof packed);
        struct rpc_bytes bytes = rpc_bytes_view(packed, len);
        CU_ASSERT_FATAL(len > 0);
        CU_ASSERT_EQUAL(inflate_up_to(encodings[i], bytes, PLAIN_BYTES, &out), INFLATE_DONE);
        CU_ASSERT(rpc_bytes_equal(rpc_buffer_view(&out), rpc_bytes_view(plain, sizeof plain)));
        rpc_buffer_deinit(&out);
        CU_ASSERT_EQUAL(inflate_up_to(encodings[i], bytes, PLAIN_BYTES - 1, &out),
                        INFLATE_TOO_LARGE);
        rpc_buffer_deinit(&out);
        CU_ASSERT_EQUAL(inflate_up_to(encodings[1 - i], bytes, PLAIN_BYTES, &out), INFLATE_CORRUPT);
        rpc_buffer_deinit(&out);
    }
}

/* 64 MB of zeros in a few kilobytes, for a cap of 1 MB. */
static void test_bombs(void)
{
    size_t bomb_bytes = 64 * 1024 * 1024;
    uint8_t *zeros = calloc(1, bomb_bytes);
    static uint8_t packed[200000];
    struct rpc_buffer out;

    CU_ASSERT_PTR_NOT_NULL_FATAL(zeros);
    for (size_t i = 0; i < 2; i++) {
        size_t len = compressor_shrink(&compressor, encodings[i], rpc_bytes_view(zeros, bomb_bytes),
                                       packed, sizeof packed);
        CU_ASSERT_FATAL(len > 0);
        CU_ASSERT_EQUAL(inflate_up_to(encodings[i], rpc_bytes_view(packed, len), 1024 * 1024, &out),
                        INFLATE_TOO_LARGE);
        CU_ASSERT(out.capacity <= 1024 * 1024);
        rpc_buffer_deinit(&out);
    }
    free(zeros);
}

static void test_does_not_pay(void)
{
    uint8_t noise[200];
    uint8_t packed[200];
    uint32_t state = 1;

    for (size_t i = 0; i < sizeof noise; i++) {
        state = state * 1103515245 + 12345;
        noise[i] = (uint8_t)(state >> 16);
    }
    for (size_t i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(compressor_shrink(&compressor, encodings[i],
                                          rpc_bytes_view(noise, sizeof noise), packed,
                                          sizeof noise - 1),
                        0);
}

/* No damage may crash or pass the cap. That it is noticed is for gzip's check
 * sum; zstd has none unless asked. */
static void test_damage(void)
{
    uint8_t plain[2000];
    uint8_t packed[2000];
    struct rpc_buffer out;

    fill(plain, sizeof plain);
    for (size_t i = 0; i < 2; i++) {
        size_t len = compressor_shrink(&compressor, encodings[i],
                                       rpc_bytes_view(plain, sizeof plain), packed, sizeof packed);
        for (size_t cut = 0; cut < len; cut++) {
            CU_ASSERT_NOT_EQUAL(
                inflate_up_to(encodings[i], rpc_bytes_view(packed, cut), 4000, &out), INFLATE_DONE);
            rpc_buffer_deinit(&out);
        }
        for (size_t at = 0; at < len; at++) {
            packed[at] ^= 0x55;
            enum inflate_result result =
                inflate_up_to(encodings[i], rpc_bytes_view(packed, len), 4000, &out);
            CU_ASSERT(out.len <= 4000);
            CU_ASSERT(result != INFLATE_DONE || encodings[i] == RPC_ENCODING_ZSTD || at < 10);
            rpc_buffer_deinit(&out);
            packed[at] ^= 0x55;
        }
        packed[len] = 0;
        CU_ASSERT_EQUAL(inflate_up_to(encodings[i], rpc_bytes_view(packed, len + 1), 4000, &out),
                        INFLATE_CORRUPT);
        rpc_buffer_deinit(&out);
    }
}

static void test_names(void)
{
    enum rpc_encoding encoding = RPC_ENCODING_ZSTD;
    const char *list = "identity, deflate,gzip";
    unsigned accepted = encoding_parse_accepted(rpc_bytes_view(list, strlen(list)));

    CU_ASSERT_EQUAL(accepted, 1u << RPC_ENCODING_IDENTITY | 1u << RPC_ENCODING_GZIP);
    CU_ASSERT_EQUAL(
        encoding_parse_accepted(rpc_bytes_view(encoding_accepted, strlen(encoding_accepted))), 7);
    CU_ASSERT_EQUAL(encoding_parse_accepted(rpc_bytes_view("", 0)), 1);
    CU_ASSERT(encoding_parse(rpc_bytes_view("identity", 8), &encoding));
    CU_ASSERT_EQUAL(encoding, RPC_ENCODING_IDENTITY);
    CU_ASSERT_FALSE(encoding_parse(rpc_bytes_view("br", 2), &encoding));
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_round_trip_and_cap),
        SUITE_TEST(test_bombs),
        SUITE_TEST(test_does_not_pay),
        SUITE_TEST(test_damage),
        SUITE_TEST(test_names),
    };
    int result = suite_run("rpc_compress", tests, sizeof tests / sizeof tests[0]);

    compressor_release(&compressor);
    return result;
}
