/* SPDX-License-Identifier: Apache-2.0
 *
 * Metadata and header fields (PROTOCOL-HTTP2.md of gRPC). A name is lower case
 * [0-9a-z_.-]; one that ends in "-bin" carries any bytes, in base64 on the
 * wire, sent unpadded, accepted either way. "grpc-" and the fields of HTTP
 * itself are the protocol's and never reach a call's owner. Duplicates keep
 * their order. A list holds at most RPC_METADATA_MAX entries and
 * RPC_HEADER_BYTES_MAX bytes, so that headers cannot fill the memory.
 */
#include "metadata.h"

#include <assert.h>
#include <stdlib.h>

enum { NUMBER_DIGITS_MAX = 9 };

static const char reserved_prefix[] = "grpc-";

static bool ends_in_bin(struct rpc_bytes name)
{
    return name.len > 4 && memcmp(name.data + name.len - 4, "-bin", 4) == 0;
}

static bool bytes_are(struct rpc_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.data, text, bytes.len) == 0;
}

/* ---- Names and values ---------------------------------------------------- */

static bool name_valid(struct rpc_bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        bool letter = c >= 'a' && c <= 'z';
        bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && c != '_' && c != '.' && c != '-')
            return false;
    }
    return name.len > 0;
}

static bool value_printable(struct rpc_bytes value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] < 0x20 || value.data[i] > 0x7e)
            return false;
    return true;
}

bool metadata_name_reserved(struct rpc_bytes name)
{
    static const char *const names[] = {"te", "content-type", "host", "connection"};
    size_t prefix_len = sizeof reserved_prefix - 1;

    if (bytes_are(name, "grpc-retry-pushback-ms")) /* a handler's word, to a client's retry */
        return false;
    if (name.len > 0 && name.data[0] == ':')
        return true;
    if (name.len >= prefix_len && memcmp(name.data, reserved_prefix, prefix_len) == 0)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (bytes_are(name, names[i]))
            return true;
    return false;
}

const struct rpc_metadata *rpc_metadata_find(struct rpc_metadata_list list, const char *name)
{
    for (size_t i = 0; i < list.count; i++)
        if (bytes_are(list.entries[i].name, name))
            return &list.entries[i];
    return NULL;
}

/* ---- The list ------------------------------------------------------------ */

void metadata_deinit(struct metadata *metadata)
{
    free(metadata->entries);
    rpc_buffer_deinit(&metadata->text);
    *metadata = (struct metadata){0};
}

static bool make_entry_room(struct metadata *metadata)
{
    if (metadata->count < metadata->capacity)
        return true;
    size_t capacity = metadata->capacity > 0 ? metadata->capacity * 2 : 8;
    if (metadata->count >= RPC_METADATA_MAX)
        return false;
    struct rpc_metadata *entries = realloc(metadata->entries, capacity * sizeof *entries);
    if (entries == NULL)
        return false;
    metadata->entries = entries;
    metadata->capacity = capacity;
    return true;
}

/* Makes room for text; the entries follow it when it moves. */
static uint8_t *make_text_room(struct metadata *metadata, size_t len)
{
    bool moves = len > metadata->text.capacity - metadata->text.len;

    metadata->text.len_max = RPC_HEADER_BYTES_MAX;
    uint8_t *room = rpc_buffer_reserve(&metadata->text, len);
    if (room == NULL || !moves)
        return room;
    const uint8_t *place = metadata->text.data;
    for (size_t i = 0; i < metadata->count; i++) {
        struct rpc_metadata *entry = &metadata->entries[i];
        entry->name.data = place;
        entry->value.data = place + entry->name.len;
        place += entry->name.len + entry->value.len;
    }
    return room;
}

/* Appends an entry with room for a value of up to value_len bytes. */
static struct rpc_metadata *append_entry(struct metadata *metadata, struct rpc_bytes name,
                                         size_t value_len)
{
    if (!make_entry_room(metadata))
        return NULL;
    uint8_t *room = make_text_room(metadata, name.len + value_len);
    if (room == NULL)
        return NULL;
    memcpy(room, name.data, name.len);
    struct rpc_metadata *entry = &metadata->entries[metadata->count++];
    entry->name = rpc_bytes_view(room, name.len);
    entry->value = rpc_bytes_view(room + name.len, value_len);
    metadata->text.len += name.len + value_len;
    return entry;
}

static uint8_t *value_room(struct metadata *metadata, const struct rpc_metadata *entry)
{
    return metadata->text.data + (entry->value.data - metadata->text.data);
}

enum metadata_result metadata_add(struct metadata *metadata, struct rpc_bytes name,
                                  struct rpc_bytes value)
{
    if (!name_valid(name) || metadata_name_reserved(name))
        return METADATA_INVALID;
    if (!ends_in_bin(name) && !value_printable(value))
        return METADATA_INVALID;
    struct rpc_metadata *entry = append_entry(metadata, name, value.len);
    if (entry == NULL)
        return METADATA_TOO_LARGE;
    if (value.len > 0)
        memcpy(value_room(metadata, entry), value.data, value.len);
    return METADATA_ADDED;
}

static enum metadata_result add_base64(struct metadata *metadata, struct rpc_bytes name,
                                       struct rpc_bytes text)
{
    struct rpc_metadata *entry = append_entry(metadata, name, text.len);
    size_t len = 0;

    if (entry == NULL)
        return METADATA_TOO_LARGE;
    bool valid = base64_decode(text, value_room(metadata, entry), &len);
    metadata->text.len -= text.len - len;
    entry->value.len = len;
    return valid ? METADATA_ADDED : METADATA_INVALID;
}

enum metadata_result metadata_add_field(struct metadata *metadata, struct rpc_bytes name,
                                        struct rpc_bytes value)
{
    enum metadata_result result = METADATA_ADDED;
    size_t start = 0;

    if (!name_valid(name))
        return METADATA_INVALID;
    if (!ends_in_bin(name)) {
        struct rpc_metadata *entry = append_entry(metadata, name, value.len);
        if (entry == NULL)
            return METADATA_TOO_LARGE;
        if (value.len > 0)
            memcpy(value_room(metadata, entry), value.data, value.len);
        return METADATA_ADDED;
    }
    while (result == METADATA_ADDED && start <= value.len) {
        size_t end = start;
        while (end < value.len && value.data[end] != ',')
            end++;
        result = add_base64(metadata, name, rpc_bytes_view(value.data + start, end - start));
        start = end + 1;
    }
    return result;
}

/* ---- Header fields to send ----------------------------------------------- */

void headers_init(struct headers *headers)
{
    headers->count = 0;
    rpc_buffer_init(&headers->text, 2 * RPC_HEADER_BYTES_MAX);
}

void headers_deinit(struct headers *headers)
{
    rpc_buffer_deinit(&headers->text);
}

static void add_field(struct headers *headers, struct rpc_bytes name, struct rpc_bytes value,
                      uint8_t flags)
{
    assert(headers->count < HEADERS_MAX);
    headers->fields[headers->count++] = (nghttp2_nv){
        .name = (uint8_t *)name.data,
        .value = (uint8_t *)value.data,
        .namelen = name.len,
        .valuelen = value.len,
        .flags = flags,
    };
}

void headers_add_literal(struct headers *headers, const char *name, const char *value)
{
    add_field(headers, rpc_bytes_view(name, strlen(name)), rpc_bytes_view(value, strlen(value)),
              NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
}

void headers_add_value(struct headers *headers, const char *name, struct rpc_bytes value)
{
    add_field(headers, rpc_bytes_view(name, strlen(name)), value, NGHTTP2_NV_FLAG_NO_COPY_NAME);
}

void headers_add_passing(struct headers *headers, const char *name, struct rpc_bytes value)
{
    add_field(headers, rpc_bytes_view(name, strlen(name)), value,
              NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_INDEX);
}

bool headers_add_metadata(struct headers *headers, const struct metadata *metadata)
{
    size_t text_len = 0;

    for (size_t i = 0; i < metadata->count; i++)
        text_len += base64_encoded_len(metadata->entries[i].value.len);
    if (text_len > 0 && rpc_buffer_reserve(&headers->text, text_len) == NULL)
        return false;
    for (size_t i = 0; i < metadata->count; i++) {
        const struct rpc_metadata *entry = &metadata->entries[i];
        struct rpc_bytes value = entry->value;
        /* A secret must not be guessed by how well it compresses. */
        bool secret = bytes_are(entry->name, "authorization");

        if (ends_in_bin(entry->name)) {
            uint8_t *room = headers->text.data + headers->text.len;
            base64_encode(value, room);
            value = rpc_bytes_view(room, base64_encoded_len(value.len));
            headers->text.len += value.len;
        }
        add_field(headers, entry->name, value,
                  secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE);
    }
    return true;
}

size_t headers_list_size(const struct headers *headers)
{
    size_t size = 0;

    for (size_t i = 0; i < headers->count; i++)
        size += headers->fields[i].namelen + headers->fields[i].valuelen + FIELD_OVERHEAD_BYTES;
    return size;
}

/* ---- base64 -------------------------------------------------------------- */

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encoded_len(size_t len)
{
    return len / 3 * 4 + (len % 3 > 0 ? len % 3 + 1 : 0);
}

void base64_encode(struct rpc_bytes bytes, uint8_t *room)
{
    uint32_t bits = 0;
    unsigned bit_count = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | bytes.data[i];
        bit_count += 8;
        while (bit_count >= 6) {
            bit_count -= 6;
            *room++ = (uint8_t)base64_alphabet[bits >> bit_count & 63];
        }
    }
    if (bit_count > 0)
        *room = (uint8_t)base64_alphabet[bits << (6 - bit_count) & 63];
}

static int base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(struct rpc_bytes text, uint8_t *room, size_t *len_out)
{
    uint32_t bits = 0;
    unsigned bit_count = 0;
    size_t len = 0;

    if (text.len % 4 == 0)
        for (int pad = 0; pad < 2 && text.len > 0 && text.data[text.len - 1] == '='; pad++)
            text.len--;
    if (text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_digit(text.data[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            room[len++] = (uint8_t)(bits >> bit_count);
        }
    }
    *len_out = len;
    return true;
}

/* ---- Numbers ------------------------------------------------------------- */

int64_t metadata_parse_number(struct rpc_bytes text)
{
    int64_t number = 0;

    if (text.len == 0 || text.len > NUMBER_DIGITS_MAX)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        number = number * 10 + (text.data[i] - '0');
    }
    return number;
}

/* ---- Percent-encoding of grpc-message ------------------------------------ */

size_t percent_encode(const char *text, uint8_t *room)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = 0;

    for (; *text != '\0'; text++) {
        uint8_t c = (uint8_t)*text;
        if (c >= 0x20 && c <= 0x7e && c != '%') {
            room[len++] = c;
            continue;
        }
        room[len++] = '%';
        room[len++] = (uint8_t)digits[c >> 4];
        room[len++] = (uint8_t)digits[c & 15];
    }
    return len;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void percent_decode(struct rpc_bytes bytes, char *text, size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < bytes.len && len + 1 < size; i++) {
        uint8_t c = bytes.data[i];
        if (c == '%' && i + 2 < bytes.len) {
            int high = hex_digit(bytes.data[i + 1]);
            int low = hex_digit(bytes.data[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (uint8_t)(high << 4 | low);
                i += 2;
            }
        }
        text[len++] = (char)c;
    }
    text[len] = '\0';
}
