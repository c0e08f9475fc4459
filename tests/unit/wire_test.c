/* SPDX-License-Identifier: Apache-2.0
 *
 * The wire reader takes all that protobuf writes for flat messages, and nothing
 * that could read past the end; the writer writes the shortest form.
 */
#include "outpost/wire.h"
#include "suite.h"

enum { BUFFER_MAX = 1 << 16 };

/* A sequence of numbers that a seed repeats (xorshift). */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#define BYTES(...) \
    rpc_bytes_view((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* The status of the first field that is not WIRE_FIELD. */
static enum wire_status read_all(struct rpc_bytes bytes)
{
    struct wire_reader reader = wire_reader_over(bytes);
    struct wire_field field;
    enum wire_status status;

    while ((status = wire_read(&reader, &field)) == WIRE_FIELD)
        ;
    return status;
}

static struct wire_field read_one(struct rpc_bytes bytes)
{
    struct wire_reader reader = wire_reader_over(bytes);
    struct wire_field field = {0};

    CU_ASSERT_EQUAL_FATAL(wire_read(&reader, &field), WIRE_FIELD);
    CU_ASSERT_TRUE(rpc_bytes_equal(field.raw, bytes));
    CU_ASSERT_EQUAL(wire_read(&reader, &(struct wire_field){0}), WIRE_END);
    return field;
}

/* Goal: each wire type as the protobuf documentation gives it. */
static void test_known_encodings(void)
{
    struct wire_field field = read_one(BYTES(0x08, 0x96, 0x01));

    CU_ASSERT_EQUAL(field.number, 1);
    CU_ASSERT_EQUAL(field.type, WIRE_VARINT);
    CU_ASSERT_EQUAL(field.value, 150);
    field = read_one(BYTES(0x12, 0x03, 'a', 'b', 'c'));
    CU_ASSERT_EQUAL(field.number, 2);
    CU_ASSERT_TRUE(rpc_bytes_equal(field.bytes, BYTES('a', 'b', 'c')));
    field = read_one(BYTES(0x19, 1, 2, 3, 4, 5, 6, 7, 8));
    CU_ASSERT_EQUAL(field.type, WIRE_FIXED64);
    CU_ASSERT_EQUAL(field.value, UINT64_C(0x0807060504030201));
    field = read_one(BYTES(0x25, 1, 2, 3, 4));
    CU_ASSERT_EQUAL(field.type, WIRE_FIXED32);
    CU_ASSERT_EQUAL(field.value, UINT64_C(0x04030201));
    field = read_one(BYTES(0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01));
    CU_ASSERT_EQUAL(field.value, UINT64_MAX);
    field = read_one(BYTES(0xf8, 0xff, 0xff, 0xff, 0x0f, 0x00));
    CU_ASSERT_EQUAL(field.number, (1u << 29) - 1);
    CU_ASSERT_EQUAL(read_all(rpc_bytes_view(NULL, 0)), WIRE_END);
}

/* Goal: a varint in more bytes than needed reads the same. */
static void test_long_varint_is_taken(void)
{
    CU_ASSERT_EQUAL(read_one(BYTES(0x08, 0x81, 0x80, 0x80, 0x00)).value, 1);
    CU_ASSERT_EQUAL(
        read_one(BYTES(0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01)).value,
        UINT64_C(1) << 63);
}

/* Goal: what is not protobuf, or not of a flat message, is refused. */
static void test_malformed_is_refused(void)
{
    static const struct {
        const char *what;
        uint8_t bytes[12];
        size_t len;
    } cases[] = {
        {"field number 0", {0x00, 0x01}, 2},
        {"wire type 3, a group", {0x0b, 0x0c}, 2},
        {"wire type 4", {0x0c}, 1},
        {"wire type 6", {0x0e, 0x00}, 2},
        {"wire type 7", {0x0f, 0x00}, 2},
        {"tag without value", {0x08}, 1},
        {"cut tag", {0x88}, 1},
        {"cut varint", {0x08, 0x80}, 2},
        {"varint of 11 bytes",
         {0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00},
         12},
        {"varint above 64 bits",
         {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
         11},
        {"tag above 32 bits", {0x88, 0x80, 0x80, 0x80, 0x10, 0x00}, 6},
        {"cut fixed64", {0x09, 1, 2, 3, 4, 5, 6, 7}, 8},
        {"cut fixed32", {0x0d, 1, 2, 3}, 4},
        {"length past the end", {0x0a, 0x02, 'a'}, 3},
        {"length without end",
         {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
         11},
        {"cut length", {0x0a, 0x80}, 2},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum wire_status status = read_all(rpc_bytes_view(cases[i].bytes, cases[i].len));
        if (status != WIRE_MALFORMED)
            printf("\n  %s was taken\n", cases[i].what);
        CU_ASSERT_EQUAL(status, WIRE_MALFORMED);
    }
}

/* Goal: zero values are recognised, and -0.0 is no zero, as in protobuf. */
static void test_zero_values(void)
{
    static const struct wire_field minus_zero = {
        .number = 1, .type = WIRE_FIXED64, .value = UINT64_C(1) << 63};
    struct wire_field field = read_one(BYTES(0x08, 0x80, 0x00));

    CU_ASSERT_TRUE(wire_field_is_zero(&field));
    field = read_one(BYTES(0x0a, 0x00));
    CU_ASSERT_TRUE(wire_field_is_zero(&field));
    field = read_one(BYTES(0x0a, 0x01, 0x00));
    CU_ASSERT_FALSE(wire_field_is_zero(&field));
    CU_ASSERT_FALSE(wire_field_is_zero(&minus_zero));
}

/* Goal: of a number that occurs twice the last counts; a fault anywhere is told. */
static void test_find_takes_the_last(void)
{
    struct wire_field field = {0};

    CU_ASSERT_EQUAL(wire_find(BYTES(0x08, 1, 0x10, 2, 0x08, 3), 1, &field), WIRE_FIELD);
    CU_ASSERT_EQUAL(field.value, 3);
    CU_ASSERT_EQUAL(wire_find(BYTES(0x08, 1), 2, &field), WIRE_END);
    CU_ASSERT_EQUAL(wire_find(BYTES(0x08, 1, 0x08), 1, &field), WIRE_MALFORMED);
}

static struct wire_field random_field(uint64_t *seed, const uint8_t *payload)
{
    static const enum wire_type types[] = {WIRE_VARINT, WIRE_FIXED64, WIRE_LEN, WIRE_FIXED32};
    struct wire_field field = {
        .number = 1 + (uint32_t)next_random(seed) % (1u << next_random(seed) % 29),
        .type = types[next_random(seed) % 4],
    };

    if (field.type == WIRE_LEN)
        field.bytes = rpc_bytes_view(payload, (size_t)(next_random(seed) % 300));
    else
        field.value = next_random(seed) >> next_random(seed) % 64;
    if (field.type == WIRE_FIXED32)
        field.value &= UINT32_MAX;
    return field;
}

/* Goal: what is written is read again the same. Method: 20,000 fields by a seed,
 * in messages of 20. */
static void test_round_trip(void)
{
    enum { FIELDS = 20 };
    uint8_t payload[300];
    struct rpc_buffer buffer;
    uint64_t seed = 42;

    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)next_random(&seed);
    rpc_buffer_init(&buffer, BUFFER_MAX);
    for (int message = 0; message < 1000; message++) {
        struct wire_field written[FIELDS], read;
        rpc_buffer_clear(&buffer);
        for (size_t i = 0; i < FIELDS; i++) {
            written[i] = random_field(&seed, payload);
            wire_put_field(&buffer, &written[i]);
        }
        struct wire_reader reader = wire_reader_over(rpc_buffer_view(&buffer));
        for (size_t i = 0; i < FIELDS; i++) {
            CU_ASSERT_EQUAL_FATAL(wire_read(&reader, &read), WIRE_FIELD);
            CU_ASSERT_EQUAL(read.number, written[i].number);
            CU_ASSERT_EQUAL(read.type, written[i].type);
            CU_ASSERT_EQUAL(read.value, written[i].value);
            CU_ASSERT_TRUE(rpc_bytes_equal(read.bytes, written[i].bytes));
        }
        CU_ASSERT_EQUAL(wire_read(&reader, &read), WIRE_END);
    }
    rpc_buffer_deinit(&buffer);
}

/* Goal: no bytes make the reader read past the end or go on for ever. Method:
 * 100,000 messages by a seed, each in its own block of memory, for the sanitizer;
 * every field read is at least two bytes further on. */
static void test_any_bytes_are_safe(void)
{
    uint64_t seed = 4711;

    for (int i = 0; i < 100000; i++) {
        size_t len = (size_t)(next_random(&seed) % 24);
        uint8_t *bytes = malloc(len + 1);
        struct wire_field field;
        CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
        for (size_t j = 0; j < len; j++)
            bytes[j] = (uint8_t)(next_random(&seed) & (next_random(&seed) % 2 ? 0xff : 0x1f));
        struct wire_reader reader = wire_reader_over(rpc_bytes_view(bytes, len));
        size_t fields = 0;
        while (wire_read(&reader, &field) == WIRE_FIELD)
            fields++;
        CU_ASSERT_TRUE(fields * 2 <= len);
        free(bytes);
    }
}

/* Goal: the writers that leave zeros out do, and wire_put_message does not. */
static void test_zero_is_left_out(void)
{
    struct rpc_buffer buffer;

    rpc_buffer_init(&buffer, BUFFER_MAX);
    wire_put_uint(&buffer, 1, 0);
    wire_put_fixed64(&buffer, 2, 0);
    wire_put_bytes(&buffer, 3, rpc_bytes_view("", 0));
    CU_ASSERT_EQUAL(buffer.len, 0);
    wire_put_message(&buffer, 4, rpc_bytes_view(NULL, 0));
    CU_ASSERT_TRUE(rpc_bytes_equal(rpc_buffer_view(&buffer), BYTES(0x22, 0x00)));
    rpc_buffer_clear(&buffer);
    wire_put_uint(&buffer, 1, 300);
    wire_put_fixed64(&buffer, 2, 1);
    wire_put_bytes(&buffer, 3, BYTES(0));
    CU_ASSERT_TRUE(
        rpc_bytes_equal(rpc_buffer_view(&buffer),
                        BYTES(0x08, 0xac, 0x02, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x1a, 0x01, 0x00)));
    rpc_buffer_deinit(&buffer);
}

/* Goal: the length of a varint is known before it is written. */
static void test_varint_len(void)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        struct rpc_buffer buffer;
        rpc_buffer_init(&buffer, BUFFER_MAX);
        wire_put_varint(&buffer, UINT64_C(1) << bit);
        CU_ASSERT_EQUAL(buffer.len, wire_varint_len(UINT64_C(1) << bit));
        CU_ASSERT_EQUAL(buffer.len, bit / 7 + 1);
        rpc_buffer_deinit(&buffer);
    }
    CU_ASSERT_EQUAL(wire_varint_len(0), 1);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_known_encodings),      SUITE_TEST(test_long_varint_is_taken),
        SUITE_TEST(test_malformed_is_refused), SUITE_TEST(test_zero_values),
        SUITE_TEST(test_find_takes_the_last),  SUITE_TEST(test_round_trip),
        SUITE_TEST(test_any_bytes_are_safe),   SUITE_TEST(test_zero_is_left_out),
        SUITE_TEST(test_varint_len),
    };

    return suite_run("wire", tests, sizeof tests / sizeof tests[0]);
}
