/* SPDX-License-Identifier: Apache-2.0
 *
 * A device's key, what is asked to be certified for it, and what comes back: shared by
 * Enrol (enrol.c) and Recertify (recertify.c). The key never leaves the device.
 */
#ifndef OUTPOST_CLIENT_CERTIFY_H
#define OUTPOST_CLIENT_CERTIFY_H

#include "store.h"

#include "outpost/rpc_channel.h"
#include "outpost/v1/enrolment.rpc.h"

#include <openssl/evp.h>

enum { CERTIFY_TIMEOUT_MS = 30000 };

struct certification {
    struct store *store;
    const char *known_ca_pem; /* what the server is checked with, if it sends no chain */
    EVP_PKEY *key;
    char *key_pem;
    uint8_t *request; /* PKCS #10, DER */
    int request_len;
    /* Out of the response. */
    char *certificate_pem, *ca_pem;
    struct record_uuid device_id, facility_id, region_id;
    bool admin;
    bool closed;
    struct rpc_status ended;
};

/* To begin with, all else zeros: store and known_ca_pem. */
void certification_deinit(struct certification *certification);

/* A new P-256 key, and as PEM. */
STORE_MUST_USE bool certification_make_key(struct certification *certification);
/* The key that was kept as PEM. */
STORE_MUST_USE bool certification_take_key(struct certification *certification,
                                           struct rpc_bytes pem);
/* The request for the key. */
STORE_MUST_USE bool certification_make_request(struct certification *certification);

/* The call's on_done; the context is the certification. */
void certification_done(void *certification, const struct rpc_status *status,
                        const Outpost__V1__EnrolResponse *response);
/* Runs the call that was started; NULL: it could not be. */
struct rpc_status certification_run(struct certification *certification, rpc_call *call,
                                    rpc_channel *channel);

/* In a transaction: the identity is this one, without anything of the one before. */
STORE_MUST_USE bool certification_keep(struct certification *certification);

#endif
