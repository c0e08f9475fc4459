/* SPDX-License-Identifier: Apache-2.0
 *
 * The envelopes written at wire level are those of record.proto: what one side
 * writes by hand, protobuf-c reads, and the other way round; byte for byte.
 */
#include "outpost/record.h"
#include "outpost/v1/record.pb-c.h"
#include "suite.h"

enum { PATIENT = 10, FACILITY = 14 };

static const uint8_t family_id[] = "family-id-16byte";
static const uint8_t record_id[] = "record-id-16byte";

static struct record_key key_of(uint32_t type, bool global)
{
    struct record_key key = {.type = type};

    memcpy(key.id.bytes, record_id, RECORD_UUID_LEN);
    if (!global)
        memcpy(key.family.bytes, family_id, RECORD_UUID_LEN);
    return key;
}

static ProtobufCBinaryData binary(const uint8_t *bytes)
{
    return (ProtobufCBinaryData){.len = RECORD_UUID_LEN, .data = (uint8_t *)bytes};
}

/* A body, and the same as protobuf-c packs it. */
static Outpost__V1__Patient patient_message(void)
{
    Outpost__V1__Patient patient = OUTPOST__V1__PATIENT__INIT;

    patient.full_name = (char *)"Anna";
    patient.age_years = 40;
    return patient;
}

static const uint8_t patient_body[] = {0x0a, 4, 'A', 'n', 'n', 'a', 0x20, 40};

/* ---- Record -------------------------------------------------------------- */

static void check_record(const Outpost__V1__Record *message, const struct record_image *image)
{
    uint8_t packed[512];
    struct rpc_buffer buffer;
    struct record_image read;

    CU_ASSERT_TRUE_FATAL(outpost__v1__record__get_packed_size(message) <= sizeof packed);
    struct rpc_bytes bytes = rpc_bytes_view(packed, outpost__v1__record__pack(message, packed));
    rpc_buffer_init(&buffer, RECORD_ENVELOPE_BYTES_MAX);
    record_image_encode(image, &buffer);
    CU_ASSERT_TRUE(rpc_bytes_equal(rpc_buffer_view(&buffer), bytes));
    CU_ASSERT_TRUE_FATAL(record_image_parse(bytes, &read));
    CU_ASSERT_EQUAL(record_key_compare(&read.key, &image->key), 0);
    CU_ASSERT_EQUAL(read.version, image->version);
    CU_ASSERT_EQUAL(read.deleted, image->deleted);
    CU_ASSERT_TRUE(rpc_bytes_equal(read.body, image->body));
    rpc_buffer_deinit(&buffer);
}

/* Goal: a Record by hand and by protobuf-c are the same bytes: living, deleted,
 * global, and with an empty body. */
static void test_record_is_protobufs(void)
{
    Outpost__V1__Patient patient = patient_message();
    Outpost__V1__Facility facility = OUTPOST__V1__FACILITY__INIT;
    Outpost__V1__Record message = OUTPOST__V1__RECORD__INIT;
    struct record_image image = {
        .key = key_of(PATIENT, false),
        .version = 300,
        .body = rpc_bytes_view(patient_body, sizeof patient_body),
    };

    message.family_id = binary(family_id);
    message.id = binary(record_id);
    message.version = 300;
    message.body_case = OUTPOST__V1__RECORD__BODY_PATIENT;
    message.patient = &patient;
    check_record(&message, &image);
    message.deleted = image.deleted = true;
    check_record(&message, &image);
    message.version = image.version = UINT64_MAX;
    check_record(&message, &image);

    message.family_id = (ProtobufCBinaryData){0};
    message.body_case = OUTPOST__V1__RECORD__BODY_FACILITY;
    message.facility = &facility;
    image.key = key_of(FACILITY, true);
    image.body = rpc_bytes_view(NULL, 0);
    check_record(&message, &image);
}

/* ---- Mutation ------------------------------------------------------------- */

static void check_mutation(const Outpost__V1__Mutation *message,
                           const struct record_mutation *mutation)
{
    static uint8_t packed[2048];
    struct rpc_buffer buffer;
    struct record_mutation read;

    CU_ASSERT_TRUE_FATAL(outpost__v1__mutation__get_packed_size(message) <= sizeof packed);
    struct rpc_bytes bytes = rpc_bytes_view(packed, outpost__v1__mutation__pack(message, packed));
    rpc_buffer_init(&buffer, RECORD_ENVELOPE_BYTES_MAX);
    record_mutation_encode(mutation, &buffer);
    CU_ASSERT_TRUE(rpc_bytes_equal(rpc_buffer_view(&buffer), bytes));
    CU_ASSERT_TRUE_FATAL(record_mutation_parse(bytes, &read));
    CU_ASSERT_EQUAL(record_key_compare(&read.key, &mutation->key), 0);
    CU_ASSERT_EQUAL(read.base_version, mutation->base_version);
    CU_ASSERT_EQUAL(read.base_stamp, mutation->base_stamp);
    CU_ASSERT_EQUAL(read.deletes, mutation->deletes);
    CU_ASSERT_EQUAL(read.recovered_version, mutation->recovered_version);
    CU_ASSERT_EQUAL_FATAL(read.field_count, mutation->field_count);
    for (size_t i = 0; i < read.field_count; i++)
        CU_ASSERT_EQUAL(read.fields[i], mutation->fields[i]);
    CU_ASSERT_TRUE(rpc_bytes_equal(read.body, mutation->body));
    rpc_buffer_deinit(&buffer);
}

/* Goal: a Mutation by hand and by protobuf-c are the same bytes, from a new
 * record to a deletion, an offer, and as many fields as fit. */
static void test_mutation_is_protobufs(void)
{
    Outpost__V1__Patient patient = patient_message();
    Outpost__V1__Mutation message = OUTPOST__V1__MUTATION__INIT;
    uint32_t fields[RECORD_FIELDS_MAX] = {1, 4, 200};
    struct record_mutation mutation = {
        .key = key_of(PATIENT, false),
        .field_count = 3,
        .fields = {1, 4, 200},
        .body = rpc_bytes_view(patient_body, sizeof patient_body),
    };

    message.family_id = binary(family_id);
    message.id = binary(record_id);
    message.fields = fields;
    message.n_fields = 3;
    message.body_case = OUTPOST__V1__MUTATION__BODY_PATIENT;
    message.patient = &patient;
    check_mutation(&message, &mutation);
    message.base_version = mutation.base_version = 7;
    message.base_stamp = mutation.base_stamp = UINT64_C(0x8000000000000001);
    check_mutation(&message, &mutation);
    message.recovered_version = mutation.recovered_version = 128;
    check_mutation(&message, &mutation);
    for (uint32_t i = 0; i < RECORD_FIELDS_MAX; i++)
        fields[i] = mutation.fields[i] = i == RECORD_FIELDS_MAX - 1 ? UINT32_MAX : i + 1;
    message.n_fields = mutation.field_count = RECORD_FIELDS_MAX;
    check_mutation(&message, &mutation);

    outpost__v1__patient__init(&patient);
    message.delete_ = mutation.deletes = true;
    message.n_fields = mutation.field_count = 0;
    mutation.body = rpc_bytes_view(NULL, 0);
    check_mutation(&message, &mutation);
}

/* ---- What is refused -------------------------------------------------------- */

/* Parts of an envelope, to be put together well or badly. */
#define FAMILY \
    "\x0a\x10" \
    "family-id-16byte"
#define ID     \
    "\x12\x10" \
    "record-id-16byte"
#define BODY "\x52\x02\x20\x28" /* patient {age_years: 40} */

struct envelope_case {
    const char *what;
    const char *bytes;
    size_t len;
    bool good;
};

#define GOOD(what, bytes)                   \
    {                                       \
        what, bytes, sizeof bytes - 1, true \
    }
#define BAD(what, bytes)                     \
    {                                        \
        what, bytes, sizeof bytes - 1, false \
    }

static void test_record_envelopes(void)
{
    static const struct envelope_case cases[] = {
        GOOD("in order", FAMILY ID BODY),
        GOOD("body first", BODY ID FAMILY),
        GOOD("no family", ID BODY),
        GOOD("an unknown envelope field", FAMILY ID "\x48\x01" BODY),
        GOOD("a type that is not known", FAMILY ID "\xfa\x06\x01x"),
        BAD("nothing", ""),
        BAD("no body", FAMILY ID),
        BAD("two bodies", FAMILY ID BODY BODY),
        BAD("two bodies of two types", FAMILY ID BODY "\x5a\x00"),
        BAD("no id", FAMILY BODY),
        BAD("a short id", "\x12\x0f"
                          "record-id-16byt" BODY),
        BAD("a zero id", "\x12\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" BODY),
        BAD("a short family", "\x0a\x01"
                              "f" ID BODY),
        BAD("an id that is a number", FAMILY "\x10\x05" BODY),
        BAD("a version that is text", FAMILY ID "\x1a\x01"
                                                "1" BODY),
        BAD("a body that is a number", FAMILY ID "\x50\x05"),
        BAD("a cut body", FAMILY ID "\x52\x05\x20"),
        BAD("a cut field after the body", FAMILY ID BODY "\x18"),
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct record_image image;
        bool taken = record_image_parse(rpc_bytes_view(cases[i].bytes, cases[i].len), &image);
        if (taken != cases[i].good)
            printf("\n  %s\n", cases[i].what);
        CU_ASSERT_EQUAL(taken, cases[i].good);
    }
}

static void test_mutation_envelopes(void)
{
    static const struct envelope_case cases[] = {
        GOOD("in order", FAMILY ID "\x32\x01\x04" BODY),
        GOOD("fields one by one", FAMILY ID "\x30\x04\x30\x05" BODY),
        GOOD("fields after the body, in two parts", FAMILY ID BODY "\x32\x01\x04\x30\x05"),
        GOOD("a field that the body lacks", FAMILY ID "\x32\x02\x04\x05" BODY),
        GOOD("no field and an empty body", FAMILY ID "\x52\x00"),
        GOOD("a field number of five bytes", FAMILY ID "\x32\x06\x04\xff\xff\xff\xff\x0f" BODY),
        BAD("a body field that is not listed", FAMILY ID "\x32\x01\x05" BODY),
        BAD("a malformed body", FAMILY ID "\x32\x01\x04"
                                          "\x52\x01\x20"),
        BAD("descending fields", FAMILY ID "\x32\x02\x05\x04" BODY),
        BAD("a field twice", FAMILY ID "\x32\x02\x04\x04" BODY),
        BAD("a field twice, in two parts", FAMILY ID "\x32\x01\x04\x32\x01\x04" BODY),
        BAD("field number 0", FAMILY ID "\x32\x02\x00\x04" BODY),
        BAD("a cut field number", FAMILY ID "\x32\x02\x04\x80" BODY),
        BAD("a field number above 32 bits", FAMILY ID "\x32\x06\x04\xff\xff\xff\xff\x1f" BODY),
        BAD("fields as fixed32", FAMILY ID "\x35\x04\0\0\0" BODY),
        BAD("a stamp as varint", FAMILY ID "\x28\x01"
                                           "\x32\x01\x04" BODY),
        BAD("no body", FAMILY ID "\x32\x01\x04"),
        BAD("no id", FAMILY "\x32\x01\x04" BODY),
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct record_mutation mutation;
        bool taken = record_mutation_parse(rpc_bytes_view(cases[i].bytes, cases[i].len), &mutation);
        if (taken != cases[i].good)
            printf("\n  %s\n", cases[i].what);
        CU_ASSERT_EQUAL(taken, cases[i].good);
    }
}

/* Goal: the limits hold: a body and a list of fields that are one too long. */
static void test_limits(void)
{
    static uint8_t body[RECORD_BODY_BYTES_MAX + 1];
    struct rpc_buffer buffer;
    struct record_image image = {.key = key_of(PATIENT, false)};
    struct record_mutation mutation = {.key = key_of(PATIENT, false)};
    struct record_mutation read;

    rpc_buffer_init(&buffer, 2 * RECORD_ENVELOPE_BYTES_MAX);
    image.body = rpc_bytes_view(body, RECORD_BODY_BYTES_MAX);
    record_image_encode(&image, &buffer);
    CU_ASSERT_TRUE(record_image_parse(rpc_buffer_view(&buffer), &image));
    CU_ASSERT_TRUE(buffer.len <= RECORD_ENVELOPE_BYTES_MAX);
    rpc_buffer_clear(&buffer);
    image.body = rpc_bytes_view(body, RECORD_BODY_BYTES_MAX + 1);
    record_image_encode(&image, &buffer);
    CU_ASSERT_FALSE(record_image_parse(rpc_buffer_view(&buffer), &image));

    rpc_buffer_clear(&buffer);
    mutation.body = rpc_bytes_view(NULL, 0);
    for (uint32_t i = 0; i < RECORD_FIELDS_MAX; i++)
        mutation.fields[i] = i + 1;
    mutation.field_count = RECORD_FIELDS_MAX;
    record_mutation_encode(&mutation, &buffer);
    CU_ASSERT_TRUE(record_mutation_parse(rpc_buffer_view(&buffer), &read));
    CU_ASSERT_TRUE(record_mutation_sets(&read, RECORD_FIELDS_MAX));
    CU_ASSERT_FALSE(record_mutation_sets(&read, RECORD_FIELDS_MAX + 1));
    wire_put_uint(&buffer, 6, RECORD_FIELDS_MAX + 1);
    CU_ASSERT_FALSE(record_mutation_parse(rpc_buffer_view(&buffer), &read));
    rpc_buffer_deinit(&buffer);
}

/* Goal: no cut and no changed byte makes the parsers read past the end. Method:
 * every prefix and 50,000 changes of a good mutation, for the sanitizer. */
static void test_damaged_envelopes_are_safe(void)
{
    static const char good[] = FAMILY ID "\x32\x02\x04\x05" BODY;
    enum { LEN = sizeof good - 1 };
    uint64_t seed = 99;
    struct record_mutation mutation;
    struct record_image image;

    for (size_t len = 0; len <= LEN; len++) {
        uint8_t *bytes = malloc(len + 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
        memcpy(bytes, good, len);
        CU_ASSERT_EQUAL(record_mutation_parse(rpc_bytes_view(bytes, len), &mutation), len == LEN);
        free(bytes);
    }
    for (int i = 0; i < 50000; i++) {
        uint8_t bytes[LEN];
        memcpy(bytes, good, LEN);
        for (int j = 0; j < 3; j++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            bytes[(seed >> 33) % LEN] = (uint8_t)(seed >> 56);
        }
        if (record_mutation_parse(rpc_bytes_view(bytes, LEN), &mutation))
            CU_ASSERT_TRUE(mutation.key.type >= RECORD_TYPE_MIN);
        if (record_image_parse(rpc_bytes_view(bytes, LEN), &image))
            CU_ASSERT_FALSE(record_uuid_is_zero(&image.key.id));
    }
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_record_is_protobufs),
        SUITE_TEST(test_mutation_is_protobufs),
        SUITE_TEST(test_record_envelopes),
        SUITE_TEST(test_mutation_envelopes),
        SUITE_TEST(test_limits),
        SUITE_TEST(test_damaged_envelopes_are_safe),
    };

    return suite_run("envelope", tests, sizeof tests / sizeof tests[0]);
}
