/* SPDX-License-Identifier: Apache-2.0 */
#include "outpost/wipe.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

/* The domain with its zero byte, so that no signature over one thing is ever good for
 * another. */
static struct wipe_signed begin(const char *domain, const struct record_uuid *device_id,
                                int64_t ordered_at_ms)
{
    struct wipe_signed what = {.len = strlen(domain) + 1};

    memcpy(what.bytes, domain, what.len);
    memcpy(what.bytes + what.len, device_id->bytes, RECORD_UUID_LEN);
    what.len += RECORD_UUID_LEN;
    for (int shift = 56; shift >= 0; shift -= 8)
        what.bytes[what.len++] = (uint8_t)((uint64_t)ordered_at_ms >> shift);
    return what;
}

bool wipe_order_signed(const struct record_uuid *device_id, int64_t ordered_at_ms,
                       struct rpc_bytes token, struct wipe_signed *signed_out)
{
    if (token.len > WIPE_TOKEN_BYTES_MAX)
        return false;
    *signed_out = begin("outpost.v1.WipeOrder", device_id, ordered_at_ms);
    if (token.len > 0)
        memcpy(signed_out->bytes + signed_out->len, token.data, token.len);
    signed_out->len += token.len;
    return true;
}

struct wipe_signed wipe_report_signed(const struct record_uuid *device_id, int64_t ordered_at_ms)
{
    return begin("outpost.v1.WipeReport", device_id, ordered_at_ms);
}

bool wipe_sign(EVP_PKEY *key, const struct wipe_signed *what, struct wipe_signature *signature_out)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t len = sizeof signature_out->bytes;
    bool good = context != NULL &&
                EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestSign(context, signature_out->bytes, &len, what->bytes, what->len) == 1;

    signature_out->len = good ? len : 0;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}

bool wipe_verify(EVP_PKEY *key, const struct wipe_signed *what, struct rpc_bytes signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good =
        context != NULL && signature.len > 0 &&
        EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestVerify(context, signature.data, signature.len, what->bytes, what->len) == 1;

    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}
