/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: nothing reaches protobuf-c that would cost it much more memory than bytes,
 * nor text that is none. Method: bytes made by hand, against messages of test.v1.
 */
#include "sound.h"

#include "suite.h"
#include "test/v1/service.pb-c.h"

static bool echo_sound(const void *data, size_t len)
{
    return sound_check(&test__v1__echo_request__descriptor, rpc_bytes_view(data, len));
}

#define SOUND(literal) CU_ASSERT_TRUE(echo_sound(literal, sizeof(literal) - 1))
#define UNSOUND(literal) CU_ASSERT_FALSE(echo_sound(literal, sizeof(literal) - 1))

static void test_text(void)
{
    SOUND("");
    SOUND("\x0a\x00");
    SOUND("\x0a\x05plain");
    SOUND("\x0a\x02\xc3\xa4");
    SOUND("\x0a\x03\xe2\x82\xac");
    SOUND("\x0a\x03\xed\x9f\xbf");     /* the last before the surrogates */
    SOUND("\x0a\x04\xf4\x8f\xbf\xbf"); /* the last of all */
    UNSOUND("\x0a\x01\x00");
    UNSOUND("\x0a\x03"
            "a\0b");
    UNSOUND("\x0a\x01\x80");
    UNSOUND("\x0a\x02\xc0\xaf");         /* a longer form than needed */
    UNSOUND("\x0a\x03\xe0\x80\xaf");     /* likewise */
    UNSOUND("\x0a\x04\xf0\x80\x80\xaf"); /* likewise */
    UNSOUND("\x0a\x03\xed\xa0\x80");     /* a surrogate */
    UNSOUND("\x0a\x04\xf4\x90\x80\x80"); /* past the last */
    UNSOUND("\x0a\x01\xc3");             /* cut off */
    UNSOUND("\x0a\x02\xe2\x82");         /* likewise */
    UNSOUND("\x0a\x01\xff");
}

static void test_wire(void)
{
    SOUND("\x98\x06\x01");                             /* an unknown varint */
    SOUND("\x99\x06\x01\x02\x03\x04\x05\x06\x07\x08"); /* 64 bits */
    SOUND("\x9d\x06\x01\x02\x03\x04");                 /* 32 bits */
    SOUND("\x9a\x06\x03\xff\xff\xff");                 /* unknown bytes are no text */
    SOUND("\x08\x01");                                 /* a text's number with another wire type */
    UNSOUND("\x0a");
    UNSOUND("\x0a\x05"
            "abc");
    UNSOUND("\x0b\x0c"); /* a group */
    UNSOUND("\x0f\x01");
    UNSOUND("\x00\x01"); /* no field has the number 0 */
    UNSOUND("\x98\x06\x80");
    UNSOUND("\x98\x06\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
    UNSOUND("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    UNSOUND("\x12\x02\x0a\x05"); /* inside a message */
}

/* Fields of two bytes, each of which protobuf-c would keep with far more. */
static void test_what_unpacks_too_large(void)
{
    static uint8_t fields[4 * 1024 * 1024];

    for (size_t i = 0; i < sizeof fields; i += 2) {
        fields[i] = 15 << 3; /* unknown, a varint */
        fields[i + 1] = 1;
    }
    CU_ASSERT_FALSE(echo_sound(fields, sizeof fields));
    CU_ASSERT_TRUE(echo_sound(fields, 200000));
    for (size_t i = 0; i < sizeof fields; i += 2) {
        fields[i] = 2 << 3 | 2; /* an empty record, again and again */
        fields[i + 1] = 0;
    }
    CU_ASSERT_FALSE(echo_sound(fields, sizeof fields));
}

/* A type that contains itself; the generator refuses one, this does not rely on it. */
static const ProtobufCMessageDescriptor nested_descriptor;
static const ProtobufCFieldDescriptor nested_field = {
    .name = "inner",
    .id = 1,
    .label = PROTOBUF_C_LABEL_NONE,
    .type = PROTOBUF_C_TYPE_MESSAGE,
    .descriptor = &nested_descriptor,
};
static const unsigned nested_index[] = {0};
static const ProtobufCIntRange nested_range[] = {{1, 0}, {0, 1}};
static const ProtobufCMessageDescriptor nested_descriptor = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "Nested",
    .sizeof_message = 32,
    .n_fields = 1,
    .fields = &nested_field,
    .fields_sorted_by_name = nested_index,
    .n_field_ranges = 1,
    .field_ranges = nested_range,
};

/* So many messages, one inside the other. */
static bool nested_sound(unsigned depth)
{
    uint8_t bytes[2000];
    size_t at = sizeof bytes;

    for (unsigned i = 1; i < depth; i++) {
        size_t len = sizeof bytes - at;
        if (len >= 0x80)
            bytes[--at] = (uint8_t)(len >> 7);
        bytes[--at] = (uint8_t)(len >= 0x80 ? (len & 0x7f) | 0x80 : len);
        bytes[--at] = 0x0a;
    }
    return sound_check(&nested_descriptor, rpc_bytes_view(bytes + at, sizeof bytes - at));
}

static void test_depth(void)
{
    CU_ASSERT_TRUE(nested_sound(1));
    CU_ASSERT_TRUE(nested_sound(SOUND_DEPTH_MAX));
    CU_ASSERT_FALSE(nested_sound(SOUND_DEPTH_MAX + 1));
    CU_ASSERT_FALSE(nested_sound(500));
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_text),
        SUITE_TEST(test_wire),
        SUITE_TEST(test_what_unpacks_too_large),
        SUITE_TEST(test_depth),
    };

    return suite_run("sound", tests, sizeof tests / sizeof tests[0]);
}
