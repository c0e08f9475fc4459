/* SPDX-License-Identifier: Apache-2.0
 *
 * Who asks is the device of the client certificate; what is asked for is decided in one
 * transaction of the store, by that device's row and tokens.
 */
#include "recertify.h"

#include "caller.h"

#include <stdlib.h>

struct recertification {
    struct certification certification;
    struct store_recertify recertify;
};

static struct rpc_status verdict_status(enum store_recertify_verdict verdict)
{
    switch (verdict) {
    case STORE_RECERTIFY_GOOD:
        return rpc_status_ok();
    case STORE_RECERTIFY_UNKNOWN:
        return rpc_status_make(RPC_UNAUTHENTICATED,
                               "this server does not know the device: enrol it again");
    case STORE_RECERTIFY_NOT_A_COPY:
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "the token is the device's own, so this is no copy of it: sync");
    case STORE_RECERTIFY_KEY_TAKEN:
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the key is another device's: make a new one");
    case STORE_RECERTIFY_TOO_MANY:
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the device was copied %d times: ask the administrator to enrol"
                               " this one anew",
                               STORE_COPIES_MAX);
    case STORE_RECERTIFY_REFUSED:
        break;
    }
    return rpc_status_make(RPC_PERMISSION_DENIED,
                           "the device is revoked or wiped: ask the administrator");
}

static void recertify_done(struct store_request *request)
{
    struct recertification *recertification = request->owner;
    struct rpc_status status = request->status;

    if (rpc_ok(&status))
        status = verdict_status(recertification->recertify.verdict);
    certify_end(&recertification->certification, status, &recertification->recertify.device);
}

static struct rpc_status begin(struct enrol_service *service, rpc_call *call,
                               const Outpost__V1__RecertifyRequest *request)
{
    struct record_uuid asking;
    struct store_device device;
    struct rpc_status status = caller_device(call, "Recertify", &asking);

    if (rpc_ok(&status))
        status = certify_new_device(service, &request->certificate_request, &device);
    if (rpc_ok(&status) && request->token.len != 0 && request->token.len != TOKEN_LEN)
        status = rpc_status_make(RPC_INVALID_ARGUMENT, "a token has %d bytes, or none", TOKEN_LEN);
    if (!rpc_ok(&status))
        return status;
    struct recertification *recertification = calloc(1, sizeof *recertification);
    if (recertification == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "the server is out of memory; try later");
    certify_begin(&recertification->certification, service, call, &request->certificate_request);

    struct store_recertify *recertify = &recertification->recertify;
    recertify->device = device;
    recertify->device.copied_from = asking;
    if (request->token.len > 0)
        memcpy(recertify->presented_token, request->token.data, TOKEN_LEN);
    recertify->request.kind = STORE_RECERTIFY;
    recertify->request.done = recertify_done;
    recertify->request.owner = recertification;
    store_submit(service->streams->store, &recertify->request);
    return rpc_status_ok();
}

void recertify_on_request(void *service, rpc_call *call,
                          const Outpost__V1__RecertifyRequest *request)
{
    struct rpc_status status = begin(service, call, request);

    if (!rpc_ok(&status))
        rpc_call_finish(call, status);
}
