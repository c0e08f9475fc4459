/* SPDX-License-Identifier: Apache-2.0
 *
 * Empty on purpose. options.proto imports descriptor.proto, so protoc-gen-c
 * includes this header into what it makes of the record types; but annotations
 * are for the generator, and no generated C uses a descriptor's. So a device is
 * built without protobuf's descriptors. The generator itself is built with the
 * true header, made at build time.
 */
#ifndef OUTPOST_NO_DESCRIPTOR_PB_C_H
#define OUTPOST_NO_DESCRIPTOR_PB_C_H
#endif
