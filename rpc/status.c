/* SPDX-License-Identifier: Apache-2.0
 *
 * Status: names and advice from the table in rpc_status.h, and the mappings
 * that gRPC fixes for peers that answer without a grpc-status (a proxy's HTTP
 * status, a reset stream). A number that nobody defined is UNKNOWN, never an
 * index into anything.
 */
#include "status.h"

#include <nghttp2/nghttp2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct code_row {
    const char *name;
    enum rpc_advice advice;
};

static const struct code_row codes[] = {
#define X(code, number, what) [number] = {#code, what},
    RPC_CODES(X)
#undef X
};

enum { CODE_COUNT = sizeof codes / sizeof codes[0] };

static const struct code_row *code_row(enum rpc_code code)
{
    return (unsigned)code < CODE_COUNT ? &codes[code] : &codes[RPC_UNKNOWN];
}

const char *rpc_code_name(enum rpc_code code)
{
    return code_row(code)->name;
}

enum rpc_advice rpc_code_advice(enum rpc_code code)
{
    return code_row(code)->advice;
}

void status_drop_partial_character(char *text, size_t len)
{
    size_t start = len;

    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (len - (start - 1) < whole)
        text[start - 1] = '\0';
}

struct rpc_status rpc_status_ok(void)
{
    return (struct rpc_status){.code = RPC_OK};
}

struct rpc_status rpc_status_make(enum rpc_code code, const char *format, ...)
{
    struct rpc_status status = {.code = code};
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(status.message, sizeof status.message, format, arguments);
    va_end(arguments);
    if (len >= (int)sizeof status.message)
        status_drop_partial_character(status.message, sizeof status.message - 1);
    return status;
}

enum rpc_code status_code_of_http(int http_status)
{
    switch (http_status) {
    case 400:
        return RPC_INTERNAL;
    case 401:
        return RPC_UNAUTHENTICATED;
    case 403:
        return RPC_PERMISSION_DENIED;
    case 404:
        return RPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return RPC_UNAVAILABLE;
    default:
        return RPC_UNKNOWN;
    }
}

enum rpc_code status_code_of_reset(uint32_t h2_error)
{
    switch (h2_error) {
    case NGHTTP2_REFUSED_STREAM:
        return RPC_UNAVAILABLE;
    case NGHTTP2_CANCEL:
        return RPC_CANCELLED;
    case NGHTTP2_ENHANCE_YOUR_CALM:
        return RPC_RESOURCE_EXHAUSTED;
    case NGHTTP2_INADEQUATE_SECURITY:
        return RPC_PERMISSION_DENIED;
    default:
        return RPC_INTERNAL;
    }
}

enum rpc_code status_code_of_text(struct rpc_bytes text)
{
    unsigned number = 0;

    if (text.len == 0 || text.len > 2 || (text.len == 2 && text.data[0] == '0'))
        return RPC_UNKNOWN;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return RPC_UNKNOWN;
        number = number * 10 + (unsigned)(text.data[i] - '0');
    }
    return number < CODE_COUNT ? (enum rpc_code)number : RPC_UNKNOWN;
}
