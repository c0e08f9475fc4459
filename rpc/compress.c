/* SPDX-License-Identifier: Apache-2.0
 *
 * gzip by zlib and zstd, one message at a time. Inflating writes into a buffer
 * with a hard cap and stops there, whatever the compressed size promised; the
 * window of a zstd frame is capped too, because the decoder allocates it.
 */
#include "compress.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum {
    GZIP_WINDOW_BITS = 15 + 16, /* the gzip format, not zlib's own */
    GZIP_LEVEL = 6,
    ZSTD_LEVEL = 3,
    /* 8 MB: what level 19 of the stock tools uses. */
    ZSTD_WINDOW_LOG_MAX = 23,
    /* First guess for an inflated message; then it doubles. */
    INFLATE_STEP_BYTES = 16 * 1024,
};

/* ---- Contexts ------------------------------------------------------------ */

static z_stream *deflate_context(struct compressor *compressor)
{
    if (compressor->deflate != NULL)
        return deflateReset(compressor->deflate) == Z_OK ? compressor->deflate : NULL;
    z_stream *stream = calloc(1, sizeof *stream);
    if (stream != NULL && deflateInit2(stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, 8,
                                       Z_DEFAULT_STRATEGY) != Z_OK) {
        free(stream);
        stream = NULL;
    }
    compressor->deflate = stream;
    return stream;
}

static z_stream *inflate_context(struct compressor *compressor)
{
    if (compressor->inflate != NULL)
        return inflateReset(compressor->inflate) == Z_OK ? compressor->inflate : NULL;
    z_stream *stream = calloc(1, sizeof *stream);
    if (stream != NULL && inflateInit2(stream, GZIP_WINDOW_BITS) != Z_OK) {
        free(stream);
        stream = NULL;
    }
    compressor->inflate = stream;
    return stream;
}

static ZSTD_CCtx *zstd_compress_context(struct compressor *compressor)
{
    if (compressor->zstd_compress == NULL)
        compressor->zstd_compress = ZSTD_createCCtx();
    return compressor->zstd_compress;
}

static ZSTD_DCtx *zstd_decompress_context(struct compressor *compressor)
{
    ZSTD_DCtx *context = compressor->zstd_decompress;

    if (context == NULL) {
        context = ZSTD_createDCtx();
        if (context != NULL)
            ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
        compressor->zstd_decompress = context;
    } else {
        ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
    }
    return context;
}

void compressor_release(struct compressor *compressor)
{
    if (compressor->deflate != NULL)
        deflateEnd(compressor->deflate);
    if (compressor->inflate != NULL)
        inflateEnd(compressor->inflate);
    free(compressor->deflate);
    free(compressor->inflate);
    ZSTD_freeCCtx(compressor->zstd_compress);
    ZSTD_freeDCtx(compressor->zstd_decompress);
    *compressor = (struct compressor){0};
}

/* ---- Shrinking ----------------------------------------------------------- */

static size_t gzip_shrink(struct compressor *compressor, struct rpc_bytes message, uint8_t *room,
                          size_t room_len)
{
    z_stream *stream = deflate_context(compressor);

    if (stream == NULL)
        return 0;
    stream->next_in = (Bytef *)message.data;
    stream->avail_in = (uInt)message.len;
    stream->next_out = room;
    stream->avail_out = (uInt)room_len;
    return deflate(stream, Z_FINISH) == Z_STREAM_END ? stream->total_out : 0;
}

static size_t zstd_shrink(struct compressor *compressor, struct rpc_bytes message, uint8_t *room,
                          size_t room_len)
{
    ZSTD_CCtx *context = zstd_compress_context(compressor);

    if (context == NULL)
        return 0;
    size_t len = ZSTD_compressCCtx(context, room, room_len, message.data, message.len, ZSTD_LEVEL);
    return ZSTD_isError(len) ? 0 : len;
}

size_t compressor_shrink(struct compressor *compressor, enum rpc_encoding encoding,
                         struct rpc_bytes message, uint8_t *room, size_t room_len)
{
    switch (encoding) {
    case RPC_ENCODING_GZIP:
        return gzip_shrink(compressor, message, room, room_len);
    case RPC_ENCODING_ZSTD:
        return zstd_shrink(compressor, message, room, room_len);
    case RPC_ENCODING_IDENTITY:
        break;
    }
    return 0;
}

/* ---- Inflating ----------------------------------------------------------- */

/* Makes room at the end of out, doubling; 0: the cap is reached or memory ran
 * out, told apart by out->failed. */
static size_t grow(struct rpc_buffer *out, uint8_t **room_out)
{
    size_t free_len = out->capacity - out->len;

    if (free_len == 0) {
        size_t step = out->len > INFLATE_STEP_BYTES ? out->len : INFLATE_STEP_BYTES;
        if (step > out->len_max - out->len)
            step = out->len_max - out->len;
        if (step == 0 || rpc_buffer_reserve(out, step) == NULL)
            return 0;
        free_len = out->capacity - out->len;
    }
    *room_out = out->data + out->len;
    return free_len;
}

static enum inflate_result gzip_inflate(struct compressor *compressor, struct rpc_bytes message,
                                        struct rpc_buffer *out)
{
    z_stream *stream = inflate_context(compressor);
    uint8_t probe;
    int result = Z_OK;

    if (stream == NULL)
        return INFLATE_NO_MEMORY;
    stream->next_in = (Bytef *)message.data;
    stream->avail_in = (uInt)message.len;
    while (result == Z_OK) {
        uint8_t *room = NULL;
        size_t room_len = grow(out, &room);

        if (out->failed)
            return INFLATE_NO_MEMORY;
        /* At the cap the trailer may still be unread: only a byte more of
         * output makes it too large. */
        bool full = room_len == 0;
        stream->next_out = full ? &probe : room;
        stream->avail_out = full ? 1 : (uInt)room_len;
        result = inflate(stream, Z_NO_FLUSH);
        if (full && stream->avail_out == 0)
            return INFLATE_TOO_LARGE;
        if (!full)
            out->len += room_len - stream->avail_out;
    }
    return result == Z_STREAM_END && stream->avail_in == 0 ? INFLATE_DONE : INFLATE_CORRUPT;
}

static enum inflate_result zstd_inflate(struct compressor *compressor, struct rpc_bytes message,
                                        struct rpc_buffer *out)
{
    ZSTD_DCtx *context = zstd_decompress_context(compressor);
    ZSTD_inBuffer input = {message.data, message.len, 0};
    unsigned long long content = ZSTD_getFrameContentSize(message.data, message.len);
    uint8_t probe;
    size_t left = 1;

    if (context == NULL)
        return INFLATE_NO_MEMORY;
    if (content == ZSTD_CONTENTSIZE_ERROR)
        return INFLATE_CORRUPT;
    if (content != ZSTD_CONTENTSIZE_UNKNOWN && content > out->len_max - out->len)
        return INFLATE_TOO_LARGE;
    while (left != 0) {
        uint8_t *room = NULL;
        size_t room_len = grow(out, &room);
        size_t read = input.pos;

        if (out->failed)
            return INFLATE_NO_MEMORY;
        bool full = room_len == 0;
        ZSTD_outBuffer output = {full ? &probe : room, full ? 1 : room_len, 0};
        left = ZSTD_decompressStream(context, &output, &input);
        if (ZSTD_isError(left) || (left != 0 && output.pos == 0 && input.pos == read))
            return INFLATE_CORRUPT;
        if (full && output.pos > 0)
            return INFLATE_TOO_LARGE;
        if (!full)
            out->len += output.pos;
    }
    return input.pos == input.size ? INFLATE_DONE : INFLATE_CORRUPT;
}

enum inflate_result compressor_inflate(struct compressor *compressor, enum rpc_encoding encoding,
                                       struct rpc_bytes message, struct rpc_buffer *out)
{
    switch (encoding) {
    case RPC_ENCODING_GZIP:
        return gzip_inflate(compressor, message, out);
    case RPC_ENCODING_ZSTD:
        return zstd_inflate(compressor, message, out);
    case RPC_ENCODING_IDENTITY:
        break;
    }
    return INFLATE_CORRUPT;
}

/* ---- Names --------------------------------------------------------------- */

static const char *const encoding_names[] = {
    [RPC_ENCODING_IDENTITY] = "identity",
    [RPC_ENCODING_GZIP] = "gzip",
    [RPC_ENCODING_ZSTD] = "zstd",
};

enum { ENCODING_COUNT = sizeof encoding_names / sizeof encoding_names[0] };

const char encoding_accepted[] = "identity,gzip,zstd";

const char *encoding_name(enum rpc_encoding encoding)
{
    return encoding_names[encoding];
}

bool encoding_parse(struct rpc_bytes name, enum rpc_encoding *encoding_out)
{
    for (size_t i = 0; i < ENCODING_COUNT; i++) {
        if (rpc_bytes_equal(name, rpc_bytes_view(encoding_names[i], strlen(encoding_names[i])))) {
            *encoding_out = (enum rpc_encoding)i;
            return true;
        }
    }
    return false;
}

unsigned encoding_parse_accepted(struct rpc_bytes value)
{
    unsigned accepted = 1u << RPC_ENCODING_IDENTITY;
    size_t start = 0;

    while (start < value.len) {
        size_t end = start;
        while (end < value.len && value.data[end] != ',' && value.data[end] != ' ')
            end++;
        enum rpc_encoding encoding;
        if (encoding_parse(rpc_bytes_view(value.data + start, end - start), &encoding))
            accepted |= 1u << encoding;
        start = end + 1;
    }
    return accepted;
}
