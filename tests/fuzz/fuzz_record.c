/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies, records and mutations as a device sends them: what parses encodes to
 * something that parses to the same, and validating it ends with a verdict.
 */
#include "fuzz.h"
#include "outpost/record.h"
#include "outpost/v1/schema.gen.h"
#include "outpost/wire.h"

static void try_body(struct rpc_bytes bytes)
{
    static struct record_body body, again;
    struct rpc_buffer out, twice;

    if (!record_body_parse(bytes, &body))
        return;
    rpc_buffer_init(&out, 2 * FUZZ_INPUT_BYTES_MAX);
    rpc_buffer_init(&twice, 2 * FUZZ_INPUT_BYTES_MAX);
    record_body_encode(&body, &out);
    fuzz_must(record_body_parse(rpc_buffer_view(&out), &again), "an encoded body parses");
    record_body_encode(&again, &twice);
    fuzz_must(rpc_bytes_equal(rpc_buffer_view(&out), rpc_buffer_view(&twice)),
              "a body's encoding is canonical");
    for (size_t i = 0; i < outpost_v1_schema.type_count; i++)
        (void)record_validate(&outpost_v1_schema.types[i], &again, 0);
    rpc_buffer_deinit(&out);
    rpc_buffer_deinit(&twice);
}

static void try_wire(struct rpc_bytes bytes)
{
    struct wire_reader reader = wire_reader_over(bytes);
    struct wire_field field;

    while (wire_read(&reader, &field) == WIRE_FIELD)
        if (field.type == WIRE_LEN)
            try_body(field.bytes);
}

static void try_mutation(struct rpc_bytes bytes)
{
    static struct record_mutation mutation, again;
    struct rpc_buffer out;

    if (!record_mutation_parse(bytes, &mutation))
        return;
    rpc_buffer_init(&out, 2 * FUZZ_INPUT_BYTES_MAX);
    record_mutation_encode(&mutation, &out);
    fuzz_must(record_mutation_parse(rpc_buffer_view(&out), &again), "an encoded mutation parses");
    rpc_buffer_deinit(&out);
}

static void try_image(struct rpc_bytes bytes)
{
    static struct record_image image, again;
    struct rpc_buffer out;

    if (!record_image_parse(bytes, &image))
        return;
    rpc_buffer_init(&out, 2 * FUZZ_INPUT_BYTES_MAX);
    record_image_encode(&image, &out);
    fuzz_must(record_image_parse(rpc_buffer_view(&out), &again), "an encoded record parses");
    rpc_buffer_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rpc_bytes bytes = rpc_bytes_view(data, len);

    try_body(bytes);
    try_mutation(bytes);
    try_image(bytes);
    try_wire(bytes);
    return 0;
}

/* A body with fields of every kind on the wire. */
static void put_body(struct rpc_buffer *out, unsigned index)
{
    for (uint32_t number = 1; number < 3 + 2 * index; number++) {
        switch (number % 4) {
        case 0:
            wire_put_fixed64(out, number, 0x4059000000000000u + number);
            break;
        case 1:
            wire_put_bytes(out, number, rpc_bytes_view("Asha Devi \xe0\xa4\x86", 13));
            break;
        case 2:
            wire_put_uint(out, number, 120 + number);
            break;
        default:
            wire_put_bytes(out, number, rpc_bytes_view("0123456789abcdef", 16));
            break;
        }
    }
}

static void put_mutation(struct rpc_buffer *out, const struct record_image *image)
{
    static struct record_body body;
    struct record_mutation mutation = {.key = image->key, .base_version = 3, .body = image->body};

    fuzz_must(record_body_parse(image->body, &body), "a seed parses");
    for (size_t i = 0; i < body.count; i++)
        mutation.fields[mutation.field_count++] = body.fields[i].number;
    record_mutation_encode(&mutation, out);
}

bool fuzz_seed(unsigned index, struct rpc_buffer *out)
{
    struct rpc_buffer body;
    const struct record_type *type = &outpost_v1_schema.types[index % outpost_v1_schema.type_count];

    if (index >= 12)
        return false;
    rpc_buffer_init(&body, FUZZ_INPUT_BYTES_MAX);
    put_body(&body, index);
    struct record_image image = {.key = {.family = {{1, 2, 3}}, .type = type->number, .id = {{4}}},
                                 .version = index,
                                 .body = rpc_buffer_view(&body)};
    if (index % 3 == 0)
        rpc_buffer_append(out, body.data, body.len);
    else if (index % 3 == 1)
        record_image_encode(&image, out);
    else
        put_mutation(out, &image);
    rpc_buffer_deinit(&body);
    return true;
}
