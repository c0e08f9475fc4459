/* SPDX-License-Identifier: Apache-2.0
 *
 * Protobuf at wire level: one field at a time, without a schema.
 *
 * What carries records past a side that does not know all of their fields
 * (I9). The reader hands out views into the bytes it was given and refuses
 * what a flat record cannot hold: groups, field number 0, a varint over ten
 * bytes, a length past the end. The writer appends to an rpc_buffer.
 *
 * Threads: no shared state.
 */
#ifndef OUTPOST_WIRE_H
#define OUTPOST_WIRE_H

#include "outpost/rpc_bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_LEN = 2,
    WIRE_FIXED32 = 5,
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;         /* WIRE_VARINT, WIRE_FIXED64, WIRE_FIXED32 */
    struct rpc_bytes bytes; /* WIRE_LEN: the payload, a view */
    struct rpc_bytes raw;   /* tag and value as they stood, a view */
};

struct wire_reader {
    const uint8_t *next;
    const uint8_t *end;
};

enum wire_status {
    WIRE_FIELD,     /* a field was read */
    WIRE_END,       /* no more bytes */
    WIRE_MALFORMED, /* not protobuf, or not what a flat message holds */
};

struct wire_reader wire_reader_over(struct rpc_bytes bytes);
enum wire_status wire_read(struct wire_reader *reader, struct wire_field *field_out);

/* True when the value is protobuf's default: 0 or empty. */
bool wire_field_is_zero(const struct wire_field *field);

/* The last field with that number; WIRE_END when there is none. */
enum wire_status wire_find(struct rpc_bytes message, uint32_t number, struct wire_field *field_out);

void wire_put_varint(struct rpc_buffer *buffer, uint64_t value);
void wire_put_tag(struct rpc_buffer *buffer, uint32_t number, enum wire_type type);

/* Appends a field, in the shortest form, whatever its value. */
void wire_put_field(struct rpc_buffer *buffer, const struct wire_field *field);

/* These leave a zero or empty value out, as proto3 does. */
void wire_put_uint(struct rpc_buffer *buffer, uint32_t number, uint64_t value);
void wire_put_fixed64(struct rpc_buffer *buffer, uint32_t number, uint64_t value);
void wire_put_bytes(struct rpc_buffer *buffer, uint32_t number, struct rpc_bytes bytes);

/* Appends a length-delimited field even when it is empty (a submessage). */
void wire_put_message(struct rpc_buffer *buffer, uint32_t number, struct rpc_bytes bytes);
/* The same for a submessage that was just encoded; it failed: buffer has, too. */
void wire_put_buffer(struct rpc_buffer *buffer, uint32_t number, const struct rpc_buffer *message);

size_t wire_varint_len(uint64_t value);

#ifdef __cplusplus
}
#endif

#endif
