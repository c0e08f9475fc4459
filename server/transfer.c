/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer.h"

#include <stdio.h>

void transfer_column_list(const struct transfer_table *table, char *text_out, size_t len)
{
    size_t at = 0;

    text_out[0] = '\0';
    for (size_t i = 0; i < table->column_count && at < len; i++)
        at += (size_t)snprintf(text_out + at, len - at, "%s%s", i > 0 ? ", " : "",
                               table->columns[i].name);
}

static struct rpc_status transfer_table(struct transfer_side *from, struct transfer_side *to,
                                        struct transfer_table *table)
{
    struct transfer_row row;
    bool more = true;
    struct rpc_status status = from->engine->read_begin(from, table);

    if (rpc_ok(&status))
        status = to->engine->write_begin(to, table);
    while (rpc_ok(&status) && more) {
        status = from->engine->read_row(from, &row, &more);
        if (rpc_ok(&status) && more)
            status = to->engine->write_row(to, &row);
        table->rows += rpc_ok(&status) && more;
    }
    return rpc_ok(&status) ? to->engine->write_end(to) : status;
}

struct rpc_status transfer_all(struct transfer_side *from, struct transfer_side *to,
                               struct transfer_table *tables, size_t count)
{
    struct rpc_status status = rpc_status_ok();

    for (size_t i = 0; i < count && rpc_ok(&status); i++)
        status = to->engine->check_empty(to, &tables[i]);
    for (size_t i = 0; i < count && rpc_ok(&status); i++)
        status = transfer_table(from, to, &tables[i]);
    return rpc_ok(&status) ? to->engine->commit(to) : status;
}
