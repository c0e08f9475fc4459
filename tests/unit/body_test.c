/* SPDX-License-Identifier: Apache-2.0
 *
 * A body has one canonical encoding (R2), the same whether its fields are known
 * or not, in whatever order and form they came.
 */
#include "outpost/record.h"
#include "outpost/v1/patient.pb-c.h"
#include "suite.h"

#define BYTES(...) \
    rpc_bytes_view((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void assert_canonical(struct rpc_bytes from, struct rpc_bytes expected)
{
    struct record_body body;
    struct rpc_buffer buffer;

    rpc_buffer_init(&buffer, RECORD_BODY_BYTES_MAX);
    CU_ASSERT_TRUE_FATAL(record_body_parse(from, &body));
    record_body_encode(&body, &buffer);
    CU_ASSERT_TRUE(rpc_bytes_equal(rpc_buffer_view(&buffer), expected));
    CU_ASSERT_EQUAL(record_body_is_canonical(&body, from), rpc_bytes_equal(from, expected));
    rpc_buffer_deinit(&buffer);
}

/* Goal: order, repetition, zeros and long varints do not matter. */
static void test_canonical_form(void)
{
    assert_canonical(rpc_bytes_view(NULL, 0), rpc_bytes_view(NULL, 0));
    assert_canonical(BYTES(0x10, 2, 0x08, 1), BYTES(0x08, 1, 0x10, 2));
    assert_canonical(BYTES(0x08, 1, 0x10, 5, 0x08, 2), BYTES(0x08, 2, 0x10, 5));
    assert_canonical(BYTES(0x08, 0, 0x12, 0, 0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 0, 0, 0, 0),
                     rpc_bytes_view(NULL, 0));
    assert_canonical(BYTES(0x08, 0x81, 0x80, 0x00), BYTES(0x08, 1));
    assert_canonical(BYTES(0x88, 0x80, 0x00, 1), BYTES(0x08, 1));
    assert_canonical(BYTES(0x12, 0x81, 0x00, 'a'), BYTES(0x12, 1, 'a'));
}

/* Goal: a last value of zero removes an earlier one: the last one counts. */
static void test_last_value_is_zero(void)
{
    assert_canonical(BYTES(0x08, 1, 0x10, 2, 0x08, 0), BYTES(0x10, 2));
    assert_canonical(BYTES(0x12, 1, 'a', 0x12, 0), rpc_bytes_view(NULL, 0));
    /* Also when the two are of different wire types. */
    assert_canonical(BYTES(0x12, 1, 'a', 0x10, 0), rpc_bytes_view(NULL, 0));
}

/* Goal: what protobuf-c packs is canonical already. */
static void test_protobuf_c_is_canonical(void)
{
    Outpost__V1__Patient patient = OUTPOST__V1__PATIENT__INIT;
    uint8_t packed[512];

    patient.full_name = (char *)"Zoë";
    patient.age_years = 40;
    patient.status = OUTPOST__V1__PATIENT_STATUS__PATIENT_STATUS_ACTIVE;
    patient.registration_facility_id.data = (uint8_t *)"0123456789abcdef";
    patient.registration_facility_id.len = 16;
    patient.recorded_at_ms = -5;
    CU_ASSERT_TRUE_FATAL(outpost__v1__patient__get_packed_size(&patient) <= sizeof packed);
    size_t len = outpost__v1__patient__pack(&patient, packed);
    assert_canonical(rpc_bytes_view(packed, len), rpc_bytes_view(packed, len));
}

/* Goal: a field can be found, replaced, removed by a zero, and no other changes. */
static void test_set_find_remove(void)
{
    struct record_body body = {0};
    const struct wire_field five = {.number = 5, .type = WIRE_VARINT, .value = 50};
    const struct wire_field three = {.number = 3, .type = WIRE_VARINT, .value = 30};
    const struct wire_field other = {.number = 5, .type = WIRE_VARINT, .value = 51};
    const struct wire_field zero = {.number = 5, .type = WIRE_VARINT, .value = 0};

    CU_ASSERT_PTR_NULL(record_body_find(&body, 5));
    CU_ASSERT_TRUE(record_body_set(&body, &five));
    CU_ASSERT_TRUE(record_body_set(&body, &three));
    CU_ASSERT_EQUAL(body.count, 2);
    CU_ASSERT_EQUAL(body.fields[0].number, 3);
    CU_ASSERT_EQUAL(record_body_find(&body, 5)->value, 50);
    CU_ASSERT_TRUE(record_body_set(&body, &other));
    CU_ASSERT_EQUAL(body.count, 2);
    CU_ASSERT_EQUAL(record_body_find(&body, 5)->value, 51);
    CU_ASSERT_PTR_NULL(record_body_find(&body, 4));
    record_body_remove(&body, 4);
    CU_ASSERT_EQUAL(body.count, 2);
    CU_ASSERT_TRUE(record_body_set(&body, &zero));
    CU_ASSERT_PTR_NULL(record_body_find(&body, 5));
    record_body_remove(&body, 3);
    CU_ASSERT_EQUAL(body.count, 0);
}

/* Goal: the limits hold (I12): fields and bytes at the limit are taken, one more
 * is refused. */
static void test_limits(void)
{
    struct record_body body;
    struct rpc_buffer buffer;
    static uint8_t filling[RECORD_BODY_BYTES_MAX];

    rpc_buffer_init(&buffer, 2 * RECORD_BODY_BYTES_MAX);
    for (uint32_t number = 1; number <= RECORD_FIELDS_MAX; number++)
        wire_put_uint(&buffer, number, 1);
    CU_ASSERT_TRUE(record_body_parse(rpc_buffer_view(&buffer), &body));
    CU_ASSERT_EQUAL(body.count, RECORD_FIELDS_MAX);
    wire_put_uint(&buffer, 1, 2); /* not one more, but another value */
    CU_ASSERT_TRUE(record_body_parse(rpc_buffer_view(&buffer), &body));
    wire_put_uint(&buffer, RECORD_FIELDS_MAX + 1, 1);
    CU_ASSERT_FALSE(record_body_parse(rpc_buffer_view(&buffer), &body));

    rpc_buffer_clear(&buffer);
    wire_put_bytes(&buffer, 1, rpc_bytes_view(filling, RECORD_BODY_BYTES_MAX - 4));
    CU_ASSERT_EQUAL_FATAL(buffer.len, RECORD_BODY_BYTES_MAX);
    CU_ASSERT_TRUE(record_body_parse(rpc_buffer_view(&buffer), &body));
    wire_put_uint(&buffer, 2, 1);
    CU_ASSERT_FALSE(record_body_parse(rpc_buffer_view(&buffer), &body));
    rpc_buffer_deinit(&buffer);
}

static void test_malformed_is_refused(void)
{
    struct record_body body;

    CU_ASSERT_FALSE(record_body_parse(BYTES(0x08), &body));
    CU_ASSERT_FALSE(record_body_parse(BYTES(0x08, 1, 0x00, 1), &body));
    CU_ASSERT_FALSE(record_body_parse(BYTES(0x0b, 0x08, 1, 0x0c), &body));
}

/* Goal: values are compared by kind and content, and with "not recorded". */
static void test_value_equal(void)
{
    const struct wire_field one = {.number = 1, .type = WIRE_VARINT, .value = 1};
    const struct wire_field same = {.number = 2, .type = WIRE_VARINT, .value = 1};
    const struct wire_field fixed = {.number = 1, .type = WIRE_FIXED64, .value = 1};
    const struct wire_field text = {
        .number = 1, .type = WIRE_LEN, .bytes = {(const uint8_t *)"a", 1}};
    const struct wire_field longer = {
        .number = 1, .type = WIRE_LEN, .bytes = {(const uint8_t *)"ab", 2}};

    CU_ASSERT_TRUE(record_value_equal(&one, &same));
    CU_ASSERT_FALSE(record_value_equal(&one, &fixed));
    CU_ASSERT_FALSE(record_value_equal(&one, NULL));
    CU_ASSERT_FALSE(record_value_equal(NULL, &one));
    CU_ASSERT_TRUE(record_value_equal(NULL, NULL));
    CU_ASSERT_TRUE(record_value_equal(&text, &text));
    CU_ASSERT_FALSE(record_value_equal(&text, &longer));
}

/* Goal: a canonical body is its own canonical form, and shuffled, with repeated
 * and zero fields thrown in before, it is still the same. Method: 2,000 bodies
 * by a seed. */
static void test_shuffled_bodies(void)
{
    uint64_t seed = 7;
    struct rpc_buffer canonical, shuffled;

    rpc_buffer_init(&canonical, RECORD_BODY_BYTES_MAX);
    rpc_buffer_init(&shuffled, RECORD_BODY_BYTES_MAX);
    for (int round = 0; round < 2000; round++) {
        enum { FIELDS = 12 };
        struct wire_field fields[FIELDS];
        rpc_buffer_clear(&canonical);
        rpc_buffer_clear(&shuffled);
        for (size_t i = 0; i < FIELDS; i++) {
            fields[i] = (struct wire_field){
                .number = (uint32_t)(i * 3 + 1 + next_random(&seed) % 3),
                .type = WIRE_VARINT,
                .value = 1 + (next_random(&seed) >> 40),
            };
            wire_put_field(&canonical, &fields[i]);
        }
        for (size_t i = 0; i < FIELDS; i++) {
            struct wire_field earlier = fields[next_random(&seed) % FIELDS];
            earlier.value = next_random(&seed) % 3;
            wire_put_field(&shuffled, &earlier);
        }
        for (size_t i = FIELDS; i > 0; i--) {
            size_t pick = (size_t)(next_random(&seed) % i);
            wire_put_field(&shuffled, &fields[pick]);
            fields[pick] = fields[i - 1];
        }
        assert_canonical(rpc_buffer_view(&canonical), rpc_buffer_view(&canonical));
        assert_canonical(rpc_buffer_view(&shuffled), rpc_buffer_view(&canonical));
    }
    rpc_buffer_deinit(&canonical);
    rpc_buffer_deinit(&shuffled);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_canonical_form),
        SUITE_TEST(test_last_value_is_zero),
        SUITE_TEST(test_protobuf_c_is_canonical),
        SUITE_TEST(test_set_find_remove),
        SUITE_TEST(test_limits),
        SUITE_TEST(test_malformed_is_refused),
        SUITE_TEST(test_value_equal),
        SUITE_TEST(test_shuffled_bodies),
    };

    return suite_run("body", tests, sizeof tests / sizeof tests[0]);
}
