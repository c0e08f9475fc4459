/* SPDX-License-Identifier: Apache-2.0
 *
 * The growing buffer of rpc_bytes.h. It doubles, never past its cap, and keeps
 * its memory when cleared, because batches come one after the other.
 */
#include "outpost/rpc_bytes.h"

#include <assert.h>
#include <stdlib.h>

enum { BUFFER_FIRST_CAPACITY = 256 };

void rpc_buffer_init(struct rpc_buffer *buffer, size_t len_max)
{
    *buffer = (struct rpc_buffer){.len_max = len_max};
}

void rpc_buffer_deinit(struct rpc_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct rpc_buffer){.len_max = buffer->len_max};
}

void rpc_buffer_clear(struct rpc_buffer *buffer)
{
    buffer->len = 0;
    buffer->failed = buffer->no_memory = false;
}

uint8_t *rpc_buffer_reserve(struct rpc_buffer *buffer, size_t len)
{
    if (buffer->failed || len > buffer->len_max - buffer->len) {
        buffer->failed = true;
        return NULL;
    }
    if (len > buffer->capacity - buffer->len) {
        size_t capacity = buffer->capacity > 0 ? buffer->capacity : BUFFER_FIRST_CAPACITY;

        while (capacity < buffer->len + len)
            capacity = capacity > SIZE_MAX / 2 ? buffer->len + len : capacity * 2;
        if (capacity > buffer->len_max)
            capacity = buffer->len_max;
        uint8_t *data = realloc(buffer->data, capacity);
        if (data == NULL) {
            buffer->failed = buffer->no_memory = true;
            return NULL;
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->len;
}

void rpc_buffer_drop(struct rpc_buffer *buffer, size_t len)
{
    assert(len <= buffer->len);
    if (len == 0)
        return;
    memmove(buffer->data, buffer->data + len, buffer->len - len);
    buffer->len -= len;
}
