/* SPDX-License-Identifier: Apache-2.0
 *
 * Recertify: a copied database becomes a device of its own (R23, enrolment.proto).
 */
#ifndef OUTPOST_SERVER_RECERTIFY_H
#define OUTPOST_SERVER_RECERTIFY_H

#include "certify.h"

/* For the handlers of the service, with certify_closed. */
void recertify_on_request(void *service, rpc_call *call,
                          const Outpost__V1__RecertifyRequest *request);

#endif
