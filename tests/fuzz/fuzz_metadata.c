/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and values of header fields, base64, percent-encoding, statuses as text:
 * the first byte chooses how the rest is cut. What base64 decodes it encodes again.
 */
#include "fuzz.h"
#include "metadata.h"
#include "status.h"

static void try_base64(struct rpc_bytes text)
{
    uint8_t *room = malloc(text.len + 1);
    size_t len = 0;

    if (room == NULL)
        abort();
    if (base64_decode(text, room, &len)) {
        uint8_t *again = malloc(base64_encoded_len(len) + 1);
        uint8_t *back = malloc(base64_encoded_len(len) + 1);
        size_t back_len = 0;
        if (again == NULL || back == NULL)
            abort();
        base64_encode(rpc_bytes_view(room, len), again);
        fuzz_must(base64_decode(rpc_bytes_view(again, base64_encoded_len(len)), back, &back_len) &&
                      back_len == len && (len == 0 || memcmp(back, room, len) == 0),
                  "base64 there and back");
        free(again);
        free(back);
    }
    free(room);
}

static void try_fields(struct rpc_bytes input, size_t name_len)
{
    struct metadata metadata = {0};
    struct headers headers;

    while (input.len > 0) {
        size_t len = name_len < input.len ? name_len : input.len;
        struct rpc_bytes name = rpc_bytes_view(input.data, len);
        size_t value_len = (input.len - len) < 40 ? input.len - len : 40;
        struct rpc_bytes value = rpc_bytes_view(input.data + len, value_len);
        enum metadata_result result = metadata_add_field(&metadata, name, value);
        fuzz_must(metadata.count <= RPC_METADATA_MAX, "a limit of entries");
        if (result != METADATA_ADDED)
            metadata_add(&metadata, rpc_bytes_view("any-bin", 7), value);
        input.data += len + value_len;
        input.len -= len + value_len;
    }
    headers_init(&headers);
    headers_add_metadata(&headers, &metadata);
    headers_deinit(&headers);
    metadata_deinit(&metadata);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[RPC_STATUS_MESSAGE_LEN];

    if (len == 0)
        return 0;
    struct rpc_bytes rest = rpc_bytes_view(data + 1, len - 1);
    try_base64(rest);
    try_fields(rest, 1 + data[0] % 30);
    percent_decode(rest, text, sizeof text);
    status_drop_partial_character(text, strlen(text));
    fuzz_must((unsigned)status_code_of_text(rest) <= 16, "a code that is defined");
    return 0;
}

bool fuzz_seed(unsigned index, struct rpc_buffer *out)
{
    static const char *const seeds[] = {
        "\x05x-binAAECAwQFBgcICQ==,AAEC,,AA",
        "\x06x-texta printable value",
        "1616",
        "00",
        "0",
        "%E2%82%AC 50%25 %",
        "grpc-status0:pathhostte",
        "\x03-bin=====,====,A",
    };

    if (index >= sizeof seeds / sizeof seeds[0])
        return false;
    rpc_buffer_append(out, seeds[index], strlen(seeds[index]));
    return true;
}
