/* SPDX-License-Identifier: Apache-2.0
 *
 * UUIDs of RFC 9562: text, version 4 from given random bytes, version 5 in
 * Outpost's name space. No clock and no random source of its own.
 */
#include "outpost/record.h"

#include <openssl/evp.h>

/* The name space of every UUIDv5 that Outpost makes; chosen once, for ever. */
static const uint8_t name_space[RECORD_UUID_LEN] = {0x6f, 0x75, 0x74, 0x70, 0x6f, 0x73, 0x54, 0x70,
                                                    0x80, 0x00, 0x6f, 0x75, 0x74, 0x70, 0x6f, 0x73};

bool record_uuid_is_zero(const struct record_uuid *id)
{
    static const struct record_uuid zero;

    return memcmp(id->bytes, zero.bytes, RECORD_UUID_LEN) == 0;
}

int record_uuid_compare(const struct record_uuid *a, const struct record_uuid *b)
{
    return memcmp(a->bytes, b->bytes, RECORD_UUID_LEN);
}

bool record_uuid_from_bytes(struct rpc_bytes bytes, struct record_uuid *id_out)
{
    if (bytes.len != RECORD_UUID_LEN)
        return false;
    memcpy(id_out->bytes, bytes.data, RECORD_UUID_LEN);
    return true;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

static bool hyphen_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

bool record_uuid_parse(const char *text, struct record_uuid *id_out)
{
    struct record_uuid id;

    for (size_t i = 0; i < RECORD_UUID_LEN; i++) {
        if (hyphen_before(i) && *text++ != '-')
            return false;
        int high = hex_value(text[0]);
        int low = high < 0 ? -1 : hex_value(text[1]);
        if (low < 0)
            return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    if (*text != '\0')
        return false;
    *id_out = id;
    return true;
}

void record_uuid_format(const struct record_uuid *id, char text_out[RECORD_UUID_TEXT_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < RECORD_UUID_LEN; i++) {
        if (hyphen_before(i))
            *text_out++ = '-';
        *text_out++ = digits[id->bytes[i] >> 4];
        *text_out++ = digits[id->bytes[i] & 0xf];
    }
    *text_out = '\0';
}

static struct record_uuid with_version(const uint8_t bytes[RECORD_UUID_LEN], unsigned version)
{
    struct record_uuid id;

    memcpy(id.bytes, bytes, RECORD_UUID_LEN);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | version << 4);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    return id;
}

struct record_uuid record_uuid_v4(const uint8_t random[RECORD_UUID_LEN])
{
    return with_version(random, 4);
}

bool record_uuid_v5(struct rpc_bytes name, struct record_uuid *id_out)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context != NULL && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1 &&
                EVP_DigestUpdate(context, name_space, sizeof name_space) == 1 &&
                EVP_DigestUpdate(context, name.data, name.len) == 1 &&
                EVP_DigestFinal_ex(context, hash, NULL) == 1;

    EVP_MD_CTX_free(context);
    if (done)
        *id_out = with_version(hash, 5);
    return done;
}
