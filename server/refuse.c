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
    switch (why) {
    case STANDING_REFUSED_REVOKED:
        return "revoked";
    case STANDING_REFUSED_WIPE:
    case STANDING_REFUSED_WIPED:
        return "wiped";
    case STANDING_REFUSED_REGION:
    case STANDING_ADMITTED:
        break;
    }
    return NULL;
}

/* It was decided so: that is no failure of the device's. */
static void end(struct stream *stream, struct rpc_status status, const char *reason)
{
    stream->noted = true;
    if (reason != NULL && stream->peer.add_trailer != NULL && !stream->closed &&
        stream->state != STATE_ENDED)
        stream->peer.add_trailer(stream->peer.context, "outpost-reason", reason);
    stream_end(stream, status);
}

/* For the device to check that the order is the administrator's, is for it, and is
 * not one that was seen in another call. False: it cannot be signed. */
static bool send_wipe_order(struct stream *stream, int64_t ordered_at_ms)
{
    const struct stream_service *service = stream->service;
    struct rpc_bytes token =
        rpc_bytes_view(stream->presented_token, stream->token_presented ? TOKEN_LEN : 0);
    struct wipe_signed order;
    struct wipe_signature signature;
    struct rpc_buffer message;

    if (!wipe_order_signed(&stream->device_id, ordered_at_ms, token, &order) ||
        !service->sign(service->context, &order, &signature))
        return false;
    rpc_buffer_init(&message, CURSOR_BYTES_MAX);
    stream_put_id(&message, WIPE_ORDER_DEVICE_ID, &stream->device_id);
    wire_put_uint(&message, WIPE_ORDER_ORDERED_AT_MS, (uint64_t)ordered_at_ms);
    wire_put_bytes(&message, WIPE_ORDER_TOKEN, token);
    wire_put_bytes(&message, WIPE_ORDER_SIGNATURE, rpc_bytes_view(signature.bytes, signature.len));
    const struct rpc_buffer *parts[] = {&message};
    stream_send(stream, RESPONSE_WIPE_ORDER, parts, 1);
    rpc_buffer_deinit(&message);
    return true;
}

void stream_end_refused(struct stream *stream, const struct store_refusal *refusal)
{
    if (refusal->why == STANDING_REFUSED_WIPE &&
        !send_wipe_order(stream, refusal->wipe_ordered_at_ms))
        stream_end(stream, rpc_status_make(RPC_INTERNAL, "the server cannot sign"));
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

void stream_end_too_old(struct stream *stream)
{
    stream_note(stream, false);
    end(stream,
        rpc_status_make(
            RPC_FAILED_PRECONDITION,
            "upgrade the app: it knows record types %u, and %u or later are needed here;"
            " all that it had to send was taken",
            stream->sync.schema_revision, stream->hello.view.minimum),
        "upgrade");
}

struct store_caller stream_caller(const struct stream *stream)
{
    return (struct store_caller){stream->device_id, stream->device.region};
}

void stream_see_rollouts(struct stream *stream, uint64_t version)
{
    if (stream->state != STATE_FOLLOWING || stream->hello.view.version == version)
        return;
    stream_enter(stream);
    stream_end(stream,
               rpc_status_make(RPC_UNAVAILABLE, "what is rolled out has changed: call again"));
    stream_leave(stream);
}

void stream_refuse(struct stream *stream, const struct store_refusal *refusal)
{
    /* Before Hello is looked at there is no token to sign for; then it is refused by that. */
    bool early = stream->state == STATE_AWAIT_HELLO || stream->state == STATE_OPENING;

    stream_enter(stream);
    if (stream->state != STATE_ENDED && !(early && refusal->why == STANDING_REFUSED_WIPE))
        stream_end_refused(stream, refusal);
    stream_leave(stream);
}
