/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids: text and bytes both ways, versions 4 and 5 as RFC 9562 says.
 */
#include "outpost/record.h"
#include "suite.h"

/* Goal: text is read in either case and written in lower case. */
static void test_text_both_ways(void)
{
    struct record_uuid id;
    char text[RECORD_UUID_TEXT_LEN + 1];
    static const uint8_t bytes[] = {0x91, 0x91, 0x08, 0xf7, 0x52, 0xd1, 0x43, 0x20,
                                    0x9b, 0xac, 0xf8, 0x47, 0xdb, 0x41, 0x48, 0xa8};

    CU_ASSERT_TRUE(record_uuid_parse("919108F7-52d1-4320-9bac-f847db4148a8", &id));
    CU_ASSERT_EQUAL(memcmp(id.bytes, bytes, sizeof bytes), 0);
    record_uuid_format(&id, text);
    CU_ASSERT_STRING_EQUAL(text, "919108f7-52d1-4320-9bac-f847db4148a8");
}

static void test_bad_text_is_refused(void)
{
    static const char *const texts[] = {
        "",
        "919108f7-52d1-4320-9bac-f847db4148a",
        "919108f7-52d1-4320-9bac-f847db4148a8 ",
        " 919108f7-52d1-4320-9bac-f847db4148a8",
        "919108f752d143209bacf847db4148a8",
        "{919108f7-52d1-4320-9bac-f847db4148a8}",
        "919108f7-52d1-4320-9bac-f847db4148ag",
        "919108f7-52d1-4320-9bacf-847db4148a8",
        "919108f7_52d1_4320_9bac_f847db4148a8",
        "919108f7-",
        "9",
    };
    struct record_uuid id = {{1}};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        CU_ASSERT_FALSE(record_uuid_parse(texts[i], &id));
    CU_ASSERT_EQUAL(id.bytes[0], 1); /* untouched */
}

static void test_bytes_are_sixteen(void)
{
    static const uint8_t bytes[17] = {9};
    struct record_uuid id;

    CU_ASSERT_TRUE(record_uuid_from_bytes(rpc_bytes_view(bytes, 16), &id));
    CU_ASSERT_EQUAL(id.bytes[0], 9);
    CU_ASSERT_FALSE(record_uuid_from_bytes(rpc_bytes_view(bytes, 15), &id));
    CU_ASSERT_FALSE(record_uuid_from_bytes(rpc_bytes_view(bytes, 17), &id));
    CU_ASSERT_FALSE(record_uuid_from_bytes(rpc_bytes_view(NULL, 0), &id));
}

/* Goal: the bits of RFC 9562, appendix A.3, and no other bit is touched. */
static void test_version_4(void)
{
    struct record_uuid expected;
    struct record_uuid random;

    CU_ASSERT_TRUE(record_uuid_parse("919108f7-52d1-4320-9bac-f847db4148a8", &expected));
    random = expected;
    random.bytes[6] = 0xf3; /* what was random there before version and variant */
    random.bytes[8] = 0x1b;
    struct record_uuid id = record_uuid_v4(random.bytes);
    CU_ASSERT_EQUAL(record_uuid_compare(&id, &expected), 0);
}

/* Goal: version 5 in Outpost's name space. Vectors by Python:
 * uuid.uuid5(uuid.UUID("6f757470-6f73-5470-8000-6f7574706f73"), name). */
static void test_version_5(void)
{
    static const struct {
        const char *name;
        const char *id;
    } vectors[] = {
        {"", "45dcc950-a880-5fbd-9ed1-f7826b7066a4"},
        {"www.example.com", "acb4ba09-49e2-58de-bc73-6b72f97db9fb"},
        {"Zoë", "8b987b11-17c1-52d8-944d-bfd6f8edba21"},
        {"patient/1", "5f332fde-2319-5bf8-bbb2-210c5dc8e81b"},
    };

    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct record_uuid id;
        char text[RECORD_UUID_TEXT_LEN + 1];
        CU_ASSERT_TRUE(
            record_uuid_v5(rpc_bytes_view(vectors[i].name, strlen(vectors[i].name)), &id));
        record_uuid_format(&id, text);
        CU_ASSERT_STRING_EQUAL(text, vectors[i].id);
    }
}

/* Goal: ids are ordered by their bytes, and zero is zero. */
static void test_order_and_zero(void)
{
    struct record_uuid low = {{0}}, high = {{0}};

    CU_ASSERT_TRUE(record_uuid_is_zero(&low));
    high.bytes[15] = 1;
    CU_ASSERT_FALSE(record_uuid_is_zero(&high));
    CU_ASSERT_TRUE(record_uuid_compare(&low, &high) < 0);
    low.bytes[0] = 0x80; /* bytes are unsigned */
    CU_ASSERT_TRUE(record_uuid_compare(&low, &high) > 0);
    CU_ASSERT_EQUAL(record_uuid_compare(&low, &low), 0);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_text_both_ways),    SUITE_TEST(test_bad_text_is_refused),
        SUITE_TEST(test_bytes_are_sixteen), SUITE_TEST(test_version_4),
        SUITE_TEST(test_version_5),         SUITE_TEST(test_order_and_zero),
    };

    return suite_run("uuid", tests, sizeof tests / sizeof tests[0]);
}
