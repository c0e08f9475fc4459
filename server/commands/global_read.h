/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading global records of one type, page by page.
 */
#ifndef OUTPOST_SERVER_GLOBAL_READ_H
#define OUTPOST_SERVER_GLOBAL_READ_H

#include "command.h"

/* Calls each() for every living record of the type, in key order. The image
 * and the body live until it returns. */
struct rpc_status global_read(struct command *command, const struct record_type *type,
                              void (*each)(void *context, const struct record_image *image,
                                           const struct record_body *body),
                              void *context);

#endif
