/* SPDX-License-Identifier: Apache-2.0
 *
 * Metadata: the list a call owns, and its form in HTTP/2 header fields; see
 * metadata.c.
 */
#ifndef OUTPOST_RPC_METADATA_H
#define OUTPOST_RPC_METADATA_H

#include "outpost/rpc.h"

#include <nghttp2/nghttp2.h>

/* A list that owns its bytes. Zero-initialised it is empty and valid. */
struct metadata {
    struct rpc_metadata *entries;
    size_t count;
    size_t capacity;
    struct rpc_buffer text; /* names and values, which entries point into */
};

void metadata_deinit(struct metadata *metadata);

enum metadata_result {
    METADATA_ADDED,
    METADATA_INVALID,   /* a name or value that gRPC does not allow */
    METADATA_TOO_LARGE, /* RPC_METADATA_MAX or RPC_HEADER_BYTES_MAX reached */
};

/* Copies an entry as the owner of a call gives it. */
enum metadata_result metadata_add(struct metadata *metadata, struct rpc_bytes name,
                                  struct rpc_bytes value);

/* Copies a header field as the peer sent it: of "-bin" names the base64 is
 * taken off, and values joined by commas become entries of their own. */
enum metadata_result metadata_add_field(struct metadata *metadata, struct rpc_bytes name,
                                        struct rpc_bytes value);

static inline struct rpc_metadata_list metadata_view(const struct metadata *metadata)
{
    struct rpc_metadata_list list = {metadata->entries, metadata->count};
    return list;
}

/* A field that belongs to the protocol and is not shown to a call's owner. */
bool metadata_name_reserved(struct rpc_bytes name);

/* ---- A block of header fields to send ------------------------------------ */

enum { FIELD_OVERHEAD_BYTES = 32 }; /* what is counted for a field beside its text */

enum { HEADERS_MAX = 2 * RPC_METADATA_MAX + 16 };

/* Fields point at what was given until the block is submitted. */
struct headers {
    nghttp2_nv fields[HEADERS_MAX];
    size_t count;
    struct rpc_buffer text; /* base64 */
};

void headers_init(struct headers *headers);
void headers_deinit(struct headers *headers);

/* name and value are string literals. */
void headers_add_literal(struct headers *headers, const char *name, const char *value);
/* name is a literal. */
void headers_add_value(struct headers *headers, const char *name, struct rpc_bytes value);
/* The same for a value that differs from call to call: it stays out of HPACK's
 * table, where it would drive out what repeats. */
void headers_add_passing(struct headers *headers, const char *name, struct rpc_bytes value);
/* Once per block. False: no memory. */
bool headers_add_metadata(struct headers *headers, const struct metadata *metadata);

/* As RFC 9113 counts a block, for SETTINGS_MAX_HEADER_LIST_SIZE. */
size_t headers_list_size(const struct headers *headers);

/* ---- Encodings ----------------------------------------------------------- */

size_t base64_encoded_len(size_t len);
/* Unpadded, as gRPC wants it; room has base64_encoded_len bytes. */
void base64_encode(struct rpc_bytes bytes, uint8_t *room);
/* Padded or not. False: not base64. room has bytes.len bytes. */
bool base64_decode(struct rpc_bytes text, uint8_t *room, size_t *len_out);

/* A number of at most nine digits; -1: it is none. */
int64_t metadata_parse_number(struct rpc_bytes text);

/* room has 3 * strlen(text) bytes. */
size_t percent_encode(const char *text, uint8_t *room);
/* Never fails: what is no escape stays as it is. Cut to size - 1, terminated. */
void percent_decode(struct rpc_bytes bytes, char *text, size_t size);

#endif
