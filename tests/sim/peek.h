/* SPDX-License-Identifier: Apache-2.0
 *
 * The checker's own look at protobuf bytes: it shares no code with the cores.
 */
#ifndef OUTPOST_TESTS_SIM_PEEK_H
#define OUTPOST_TESTS_SIM_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peek {
    const uint8_t *at, *end;
};

struct peek_field {
    uint32_t number;
    uint64_t value;      /* of a varint or a fixed one */
    const uint8_t *data; /* of bytes; else NULL */
    size_t len;
};

struct peek peek_over(const void *data, size_t len);
/* False: the end, or no protobuf. */
bool peek_next(struct peek *peek, struct peek_field *field_out);
/* The last field of that number; false: there is none. */
bool peek_find(const void *data, size_t len, uint32_t number, struct peek_field *field_out);

#endif
