/* SPDX-License-Identifier: Apache-2.0 */
#include "enrol.h"

#include "code.h"

#include <stdlib.h>

struct enrolment {
    struct certification certification;
    struct store_enrol enrol;
};

static struct rpc_status verdict_status(enum store_code_verdict verdict)
{
    switch (verdict) {
    case STORE_CODE_GOOD:
        return rpc_status_ok();
    case STORE_CODE_USED:
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the code was used already: ask for a new one");
    case STORE_CODE_EXPIRED:
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the code is older than 15 minutes: ask for a new one");
    case STORE_CODE_DEAD:
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the code was tried too often: ask for a new one");
    case STORE_CODE_FACILITY_CLOSED:
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the code's facility is closed: ask for one of another");
    case STORE_CODE_WRONG:
        break;
    }
    return rpc_status_make(RPC_PERMISSION_DENIED,
                           "the code is wrong: check it, or ask for a new one");
}

static void enrol_done(struct store_request *request)
{
    struct enrolment *enrolment = request->owner;
    struct rpc_status status = request->status;

    if (rpc_ok(&status))
        status = verdict_status(enrolment->enrol.verdict);
    certify_end(&enrolment->certification, status, &enrolment->enrol.device);
}

static struct rpc_status begin(struct enrol_service *service, rpc_call *call,
                               const Outpost__V1__EnrolRequest *request)
{
    const struct stream_service *streams = service->streams;
    struct store_device device;
    struct rpc_status status = certify_new_device(service, &request->certificate_request, &device);
    struct code code;

    if (!rpc_ok(&status))
        return status;
    if (!code_parse(request->code, streams->hasher, &code))
        return verdict_status(STORE_CODE_WRONG);
    struct enrolment *enrolment = calloc(1, sizeof *enrolment);
    if (enrolment == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "the server is out of memory; try later");
    certify_begin(&enrolment->certification, service, call, &request->certificate_request);

    struct store_enrol *enrol = &enrolment->enrol;
    memcpy(enrol->selector, code.selector, sizeof enrol->selector);
    memcpy(enrol->secret_hash, code.secret_hash, sizeof enrol->secret_hash);
    enrol->device = device;
    enrol->request.kind = STORE_ENROL;
    enrol->request.done = enrol_done;
    enrol->request.owner = enrolment;
    store_submit(streams->store, &enrol->request);
    return rpc_status_ok();
}

void enrol_on_request(void *service, rpc_call *call, const Outpost__V1__EnrolRequest *request)
{
    struct rpc_status status = begin(service, call, request);

    if (!rpc_ok(&status))
        rpc_call_finish(call, status);
}
