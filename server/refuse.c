/* SPDX-License-Identifier: Apache-2.0
 *
 * The ends of streams whose device may not go on: at Hello (R18), or later, when it
 * was revoked, sent elsewhere or is to be wiped meanwhile. What it has pending stays
 * with it, and is taken as soon as it stands where it may.
 */
#include "stream_state.h"

static struct rpc_status refusal_status(const struct stream *stream, enum standing_refusal why)
{
    char facility[RECORD_UUID_TEXT_LEN + 1];

    record_uuid_format(&stream->device.facility, facility);
    switch (why) {
    case STANDING_REFUSED_WIPE:
        return rpc_status_make(RPC_PERMISSION_DENIED, "the device is to be wiped");
    case STANDING_REFUSED_WIPED:
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the device was wiped: enrol it anew, into a new file");
    case STANDING_REFUSED_REGION:
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the device may not work at facility %s: go back to one of its own"
                               " (outpost facility ID)",
                               facility);
    case STANDING_REFUSED_REVOKED:
    case STANDING_ADMITTED:
        break;
    }
    return rpc_status_make(RPC_PERMISSION_DENIED, "the device is revoked: ask the administrator");
}

/* What a program can act upon; NULL: a person must. */
static const char *refusal_reason(enum standing_refusal why)
{
    return why == STANDING_REFUSED_REVOKED ? "revoked" : NULL;
}

static void end(struct stream *stream, struct rpc_status status, const char *reason)
{
    if (reason != NULL && stream->peer.add_trailer != NULL && !stream->closed &&
        stream->state != STATE_ENDED)
        stream->peer.add_trailer(stream->peer.context, "outpost-reason", reason);
    stream_end(stream, status);
}

void stream_end_refused(struct stream *stream, const struct store_refusal *refusal)
{
    end(stream, refusal_status(stream, refusal->why), refusal_reason(refusal->why));
}

void stream_end_copied(struct stream *stream)
{
    end(stream,
        rpc_status_make(RPC_PERMISSION_DENIED,
                        "another copy of this device's database has synced since: ask for an"
                        " identity of its own (Recertify)"),
        "copied");
}

struct store_caller stream_caller(const struct stream *stream)
{
    return (struct store_caller){stream->device_id, stream->device.region};
}

void stream_refuse(struct stream *stream, const struct store_refusal *refusal)
{
    stream_enter(stream);
    if (stream->state != STATE_ENDED)
        stream_end_refused(stream, refusal);
    stream_leave(stream);
}
