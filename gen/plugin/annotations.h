/* SPDX-License-Identifier: Apache-2.0
 *
 * The annotations of outpost/options.proto, out of descriptors. They reach a reader
 * as unknown fields of the options, several of one number when they were set member
 * by member.
 */
#ifndef OUTPOST_PLUGIN_ANNOTATIONS_H
#define OUTPOST_PLUGIN_ANNOTATIONS_H

#include "google/protobuf/descriptor.pb-c.h"
#include "outpost/options.pb-c.h"
#include "output.h"

/* NULL: the message is no record type. False: it has an annotation that this program
 * was not built with. What is given lives as long as the output. */
bool annotation_read_record(struct output *output, const Google__Protobuf__DescriptorProto *message,
                            Outpost__RecordOptions **options_out);

/* NULL: the field has none. */
bool annotation_read_field(struct output *output,
                           const Google__Protobuf__FieldDescriptorProto *field,
                           Outpost__FieldRules **rules_out);

#endif
