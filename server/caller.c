/* SPDX-License-Identifier: Apache-2.0 */
#include "caller.h"

#include "ca.h"

struct rpc_status caller_device(const rpc_call *call, const char *what,
                                struct record_uuid *device_id_out)
{
    if (rpc_call_peer_certificate_foreign(call))
        return rpc_status_make(RPC_UNAUTHENTICATED,
                               "the client certificate is not of this server's CA: enrol the"
                               " device here");
    if (!ca_device_of(rpc_call_peer_certificate(call), device_id_out))
        return rpc_status_make(RPC_UNAUTHENTICATED,
                               "%s needs the client certificate of an enrolled device: enrol it"
                               " first",
                               what);
    return rpc_status_ok();
}
