/* SPDX-License-Identifier: Apache-2.0 */
#include "global_read.h"

struct rpc_status global_read(struct command *command, const struct record_type *type,
                              void (*each)(void *context, const struct record_image *image,
                                           const struct record_body *body),
                              void *context)
{
    struct record_key after = {.type = 0};
    bool at_end = false;
    struct rpc_status status = rpc_status_ok();

    while (rpc_ok(&status) && !at_end) {
        struct store_page page = {.part = STORE_REST, .after = after};
        struct record_image image;
        struct record_body body;
        struct wire_field field;
        status = command_run(command, &page.request, STORE_PAGE);
        struct wire_reader reader = wire_reader_over(rpc_buffer_view(&page.encoded));
        while (rpc_ok(&status) && wire_read(&reader, &field) == WIRE_FIELD)
            if (record_image_parse(field.bytes, &image) && image.key.type == type->number &&
                record_body_parse(image.body, &body))
                each(context, &image, &body);
        at_end = page.at_end || page.row_count == 0;
        if (!at_end)
            after = page.rows[page.row_count - 1].key;
        store_page_deinit(&page);
    }
    return status;
}
