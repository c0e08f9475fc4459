/* SPDX-License-Identifier: Apache-2.0
 *
 * What is signed when a device is wiped: the bytes of an order and of a report, as
 * sync.proto and enrolment.proto say; and the two signatures' arithmetic, ECDSA P-256
 * with SHA-256, DER. Both sides sign one and check the other.
 */
#ifndef OUTPOST_WIPE_H
#define OUTPOST_WIPE_H

#include "outpost/record.h"

#include <openssl/types.h>

enum {
    WIPE_TOKEN_BYTES_MAX = 64,
    WIPE_SIGNED_BYTES_MAX = 32 + RECORD_UUID_LEN + 8 + WIPE_TOKEN_BYTES_MAX,
    /* Of P-256 it has 72 at most. */
    WIPE_SIGNATURE_BYTES_MAX = 128,
};

struct wipe_signed {
    uint8_t bytes[WIPE_SIGNED_BYTES_MAX];
    size_t len;
};

struct wipe_signature {
    uint8_t bytes[WIPE_SIGNATURE_BYTES_MAX];
    size_t len;
};

/* False: the token is too long to be one. */
bool wipe_order_signed(const struct record_uuid *device_id, int64_t ordered_at_ms,
                       struct rpc_bytes token, struct wipe_signed *signed_out);
struct wipe_signed wipe_report_signed(const struct record_uuid *device_id, int64_t ordered_at_ms);

/* False: the key is not one to sign with. */
bool wipe_sign(EVP_PKEY *key, const struct wipe_signed *what, struct wipe_signature *signature_out);
bool wipe_verify(EVP_PKEY *key, const struct wipe_signed *what, struct rpc_bytes signature);

#endif
