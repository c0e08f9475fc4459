/* SPDX-License-Identifier: Apache-2.0
 *
 * outpost.v2 (sync_v2.proto) beside outpost.v1: all that a server needs to answer both.
 */
#include "outpost/wire.h"
#include "sync_version.h"

enum { ENVELOPE_KIND = 1, ENVELOPE_MESSAGE = 3 };

static bool take(struct rpc_bytes request, struct rpc_buffer *v1)
{
    struct wire_field kind, message;

    if (wire_find(request, ENVELOPE_KIND, &kind) != WIRE_FIELD)
        return false;
    enum wire_status status = wire_find(request, ENVELOPE_MESSAGE, &message);
    if (status == WIRE_END) /* an empty message is left out */
        message.bytes = rpc_bytes_view(NULL, 0);
    wire_put_message(v1, (uint32_t)kind.value, message.bytes);
    return status == WIRE_FIELD || status == WIRE_END;
}

static bool give(struct rpc_bytes v1, struct rpc_buffer *response)
{
    struct wire_reader reader = wire_reader_over(v1);
    struct wire_field message;

    if (wire_read(&reader, &message) != WIRE_FIELD || message.type != WIRE_LEN)
        return false;
    wire_put_uint(response, ENVELOPE_KIND, message.number);
    wire_put_message(response, ENVELOPE_MESSAGE, message.bytes);
    return true;
}

const struct sync_version sync_versions[] = {{"/outpost.v2.SyncService/Sync", take, give}};
const size_t sync_version_count = 1;
