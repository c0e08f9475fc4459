/* SPDX-License-Identifier: Apache-2.0
 *
 * Stamp, mutation id and digest are what sync.proto says, so that a stranger
 * computes the same. The vectors were made by Python, not by this code:
 *
 *     from hashlib import sha256
 *     def stamp(version, deleted, body):
 *         head = version.to_bytes(8, "big") + bytes([deleted])
 *         return sha256(head + body).digest()[:8].hex()
 *     def mutation_id(mutation):
 *         return sha256(mutation).digest()[:16].hex()
 *     def mix(x):
 *         x = x + 0x9e3779b97f4a7c15 & M
 *         x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9 & M
 *         x = (x ^ x >> 27) * 0x94d049bb133111eb & M
 *         return x ^ x >> 31                       # M = 2**64 - 1
 *     def share(type, id, stamp):
 *         high, low = int.from_bytes(id[:8], "big"), int.from_bytes(id[8:], "big")
 *         return mix(mix(mix(mix(type) ^ high) ^ low) ^ stamp)
 */
#include "outpost/record.h"
#include "suite.h"

#define TEXT(text) rpc_bytes_view(text, sizeof text - 1)

static void format_hex(const uint8_t *bytes, size_t len, char *text_out)
{
    for (size_t i = 0; i < len; i++)
        sprintf(text_out + 2 * i, "%02x", (unsigned)bytes[i]);
}

/* Goal: SHA-256 over parts is SHA-256 over the whole; one hasher serves many. */
static void test_parts_are_the_whole(void)
{
    struct record_hasher *hasher = record_hasher_new();
    struct rpc_bytes parts[] = {TEXT("a"), rpc_bytes_view(NULL, 0), TEXT("bc")};
    uint8_t hash[RECORD_SHA256_LEN];
    char text[2 * RECORD_SHA256_LEN + 1];

    CU_ASSERT_PTR_NOT_NULL_FATAL(hasher);
    for (int i = 0; i < 2; i++) {
        record_hash(hasher, parts, 3, hash);
        format_hex(hash, sizeof hash, text);
        CU_ASSERT_STRING_EQUAL(text,
                               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        record_hash(hasher, NULL, 0, hash);
        format_hex(hash, sizeof hash, text);
        CU_ASSERT_STRING_EQUAL(text,
                               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
    record_hasher_free(hasher);
    record_hasher_free(NULL);
}

static void test_stamps(void)
{
    static const uint8_t body[] = {0x0a, 4, 'A', 'n', 'n', 'a', 0x20, 40};
    static const struct {
        uint64_t version;
        bool deleted;
        size_t body_len;
        uint64_t stamp;
    } vectors[] = {
        {UINT64_C(0), false, 0, UINT64_C(0x3e7077fd2f66d689)},
        {UINT64_C(1), false, 8, UINT64_C(0x98e3255af42c5c42)},
        {UINT64_C(1), true, 8, UINT64_C(0xb2a32017dca5f1a0)},
        {UINT64_C(18446744073709551615), false, 6, UINT64_C(0xac579fab7f67df7b)},
        {UINT64_C(300), false, 0, UINT64_C(0x6af720f193131e64)},
    };
    struct record_hasher *hasher = record_hasher_new();

    CU_ASSERT_PTR_NOT_NULL_FATAL(hasher);
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        CU_ASSERT_EQUAL(record_stamp(hasher, vectors[i].version, vectors[i].deleted,
                                     rpc_bytes_view(body, vectors[i].body_len)),
                        vectors[i].stamp);
    record_hasher_free(hasher);
}

static void test_mutation_ids(void)
{
    struct record_hasher *hasher = record_hasher_new();
    char text[2 * RECORD_MUTATION_ID_LEN + 1];

    CU_ASSERT_PTR_NOT_NULL_FATAL(hasher);
    struct record_mutation_id id = record_mutation_id(hasher, TEXT("a mutation"));
    format_hex(id.bytes, sizeof id.bytes, text);
    CU_ASSERT_STRING_EQUAL(text, "08491a0429b160ae2b22802ba02c64ce");
    record_hasher_free(hasher);
}

static void test_digest_shares(void)
{
    static const struct {
        uint32_t type;
        const char *id;
        uint64_t stamp;
        uint64_t share;
    } vectors[] = {
        {UINT32_C(10), "00000000-0000-0000-0000-000000000000", UINT64_C(0x0000000000000000),
         UINT64_C(0xc6dce91e09e6ee75)},
        {UINT32_C(10), "919108f7-52d1-4320-9bac-f847db4148a8", UINT64_C(0x0123456789abcdef),
         UINT64_C(0xce79f1f64ed9de36)},
        {UINT32_C(14), "919108f7-52d1-4320-9bac-f847db4148a8", UINT64_C(0x0123456789abcdef),
         UINT64_C(0xaddf228c413e3e2b)},
        {UINT32_C(4294967295), "ffffffff-ffff-ffff-ffff-ffffffffffff", UINT64_C(0xffffffffffffffff),
         UINT64_C(0x054d8435bd3a3fa4)},
    };

    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct record_uuid id;
        CU_ASSERT_TRUE(record_uuid_parse(vectors[i].id, &id));
        CU_ASSERT_EQUAL(record_digest_share(vectors[i].type, &id, vectors[i].stamp),
                        vectors[i].share);
    }
}

/* Goal: a change of any part changes the stamp: version, deleted, body, and
 * where one ends and the next begins. */
static void test_stamps_differ(void)
{
    struct record_hasher *hasher = record_hasher_new();

    CU_ASSERT_PTR_NOT_NULL_FATAL(hasher);
    uint64_t stamp = record_stamp(hasher, 1, false, TEXT("\x01"));
    CU_ASSERT_NOT_EQUAL(stamp, record_stamp(hasher, 2, false, TEXT("\x01")));
    CU_ASSERT_NOT_EQUAL(stamp, record_stamp(hasher, 1, true, TEXT("\x01")));
    CU_ASSERT_NOT_EQUAL(stamp, record_stamp(hasher, 1, true, rpc_bytes_view(NULL, 0)));
    CU_ASSERT_NOT_EQUAL(stamp, record_stamp(hasher, 1, false, TEXT("\x01\x01")));
    CU_ASSERT_EQUAL(stamp, record_stamp(hasher, 1, false, TEXT("\x01")));
    record_hasher_free(hasher);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_parts_are_the_whole), SUITE_TEST(test_stamps),
        SUITE_TEST(test_mutation_ids),        SUITE_TEST(test_digest_shares),
        SUITE_TEST(test_stamps_differ),
    };

    return suite_run("hash", tests, sizeof tests / sizeof tests[0]);
}
