/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether bytes may be given to protobuf-c at all. It unpacks without a limit of
 * memory, takes any bytes for text, and loses what follows a NUL in it; what it
 * makes of a message of 4 MiB can be 200 MB. So the bytes are walked first, by
 * the message's own descriptor.
 */
#ifndef OUTPOST_STUB_SOUND_H
#define OUTPOST_STUB_SOUND_H

#include "outpost/rpc_bytes.h"

#include <protobuf-c/protobuf-c.h>

enum {
    /* Messages inside messages. The generator refuses types that contain
     * themselves, so only a type that is deep itself comes near. */
    SOUND_DEPTH_MAX = 100,
    /* Bytes that protobuf-c would allocate for one message: sixteen times the
     * largest. Two million empty fields inside it would take more. */
    SOUND_UNPACKED_BYTES_MAX = 64 * 1024 * 1024,
};

/* False: malformed, too deep, too large when unpacked, or with text that is not
 * UTF-8 or has a NUL. */
bool sound_check(const ProtobufCMessageDescriptor *type, struct rpc_bytes bytes);

#endif
