/* SPDX-License-Identifier: Apache-2.0 */
#include "annotations.h"

#include "outpost/wire.h"

enum {
    /* Numbers of the options in outpost/options.proto. */
    OPTION_RECORD = 50610,
    OPTION_FIELD = 50611,
    /* FieldRules.range, the only submessage of an option. */
    RULE_RANGE = 2,
};

static void *arena_alloc(void *output, size_t size)
{
    return output_alloc(output, 1, size);
}

static void arena_free(void *output, void *memory)
{
    (void)output;
    (void)memory;
}

/* The payloads of all unknown fields of that number, one after the other: an
 * option that is set member by member comes as several, and protobuf merges
 * what is concatenated. False: there is none. */
static bool option_payload(const ProtobufCMessage *options, uint32_t number, struct text *payload)
{
    bool found = false;

    for (size_t i = 0; options != NULL && i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &options->unknown_fields[i];
        size_t prefix = 0;
        if (field->tag != number || field->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            continue;
        while (field->data[prefix++] & 0x80)
            ;
        text_add_bytes(payload, (const char *)field->data + prefix, field->len - prefix);
        found = true;
    }
    return found;
}

/* Joins the occurrences of one submessage, which protobuf would merge;
 * protobuf-c keeps only the last one's numbers. */
static void payload_join(struct text *payload, uint32_t number)
{
    struct wire_reader reader = wire_reader_over(rpc_bytes_view(payload->data, payload->len));
    struct text others = {0}, inner = {0};
    struct wire_field field;
    struct rpc_buffer joined;

    while (wire_read(&reader, &field) == WIRE_FIELD) {
        bool match = field.number == number && field.type == WIRE_LEN;
        struct rpc_bytes part = match ? field.bytes : field.raw;
        text_add_bytes(match ? &inner : &others, (const char *)part.data, part.len);
    }
    if (inner.len > 0) {
        rpc_buffer_init(&joined, SIZE_MAX);
        wire_put_message(&joined, number, rpc_bytes_view(inner.data, inner.len));
        text_add_bytes(&others, (const char *)joined.data, joined.len);
        rpc_buffer_deinit(&joined);
        text_deinit(payload);
        *payload = others;
        others = (struct text){0};
    }
    text_deinit(&others);
    text_deinit(&inner);
}

static bool option_read(struct output *output, const ProtobufCMessage *options, uint32_t number,
                        const ProtobufCMessageDescriptor *descriptor,
                        ProtobufCMessage **message_out)
{
    ProtobufCAllocator arena = {arena_alloc, arena_free, output};
    struct text payload = {0};

    *message_out = NULL;
    if (!option_payload(options, number, &payload))
        return true;
    if (number == OPTION_FIELD)
        payload_join(&payload, RULE_RANGE);
    *message_out =
        protobuf_c_message_unpack(descriptor, &arena, payload.len, (const uint8_t *)payload.data);
    text_deinit(&payload);
    return *message_out != NULL && (*message_out)->n_unknown_fields == 0;
}

bool annotation_read_record(struct output *output, const Google__Protobuf__DescriptorProto *message,
                            Outpost__RecordOptions **options_out)
{
    ProtobufCMessage *options;
    bool good = option_read(output, (const ProtobufCMessage *)message->options, OPTION_RECORD,
                            &outpost__record_options__descriptor, &options);

    *options_out = (Outpost__RecordOptions *)options;
    return good;
}

bool annotation_read_field(struct output *output,
                           const Google__Protobuf__FieldDescriptorProto *field,
                           Outpost__FieldRules **rules_out)
{
    ProtobufCMessage *rules;
    bool good = option_read(output, (const ProtobufCMessage *)field->options, OPTION_FIELD,
                            &outpost__field_rules__descriptor, &rules);

    *rules_out = (Outpost__FieldRules *)rules;
    return good;
}
