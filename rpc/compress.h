/* SPDX-License-Identifier: Apache-2.0
 *
 * Per-message compression. A compressor's contexts are made when first needed
 * and given back when its connection is idle: a deflate context is 256 KB, and
 * a server holds thousands of connections.
 */
#ifndef OUTPOST_RPC_COMPRESS_H
#define OUTPOST_RPC_COMPRESS_H

#include "outpost/rpc.h"

struct z_stream_s;
struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

/* Zero-initialised it is valid and holds nothing. */
struct compressor {
    struct z_stream_s *deflate;
    struct z_stream_s *inflate;
    struct ZSTD_CCtx_s *zstd_compress;
    struct ZSTD_DCtx_s *zstd_decompress;
};

/* Gives the contexts back; the compressor stays valid. */
void compressor_release(struct compressor *compressor);

/* Compresses into room, of room_len bytes; the length, or 0 when it does not
 * fit there, which for room_len < message.len means that it does not pay. */
size_t compressor_shrink(struct compressor *compressor, enum rpc_encoding encoding,
                         struct rpc_bytes message, uint8_t *room, size_t room_len);

enum inflate_result {
    INFLATE_DONE,
    INFLATE_TOO_LARGE, /* more than fits out->len_max: a bomb, or a limit */
    INFLATE_CORRUPT,
    INFLATE_NO_MEMORY,
};

/* Inflates message to the end of out, at most up to out->len_max. */
enum inflate_result compressor_inflate(struct compressor *compressor, enum rpc_encoding encoding,
                                       struct rpc_bytes message, struct rpc_buffer *out);

/* The name on the wire, and back; IDENTITY for "identity", false when unknown. */
const char *encoding_name(enum rpc_encoding encoding);
bool encoding_parse(struct rpc_bytes name, enum rpc_encoding *encoding_out);

/* What both sides of this runtime say in grpc-accept-encoding. */
extern const char encoding_accepted[];

/* The encodings in a grpc-accept-encoding value, as bits 1 << encoding. */
unsigned encoding_parse_accepted(struct rpc_bytes value);

#endif
