/* SPDX-License-Identifier: Apache-2.0 */
#include "certify.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

enum {
    /* Certificates in the chain: protects the identity row. */
    CHAIN_MAX = 8,
};

void certification_deinit(struct certification *certification)
{
    EVP_PKEY_free(certification->key);
    OPENSSL_free(certification->request);
    if (certification->key_pem != NULL)
        OPENSSL_cleanse(certification->key_pem, strlen(certification->key_pem));
    free(certification->key_pem);
    free(certification->certificate_pem);
    free(certification->ca_pem);
}

static bool crypto_failed(struct store *store, const char *what)
{
    return store_fail(store, OUTPOST_BUG, "certificate: OpenSSL cannot %s", what);
}

/* ---- Key and request ------------------------------------------------------------------ */

/* The text of a memory BIO, to be freed; NULL: no memory. */
static char *text_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = len > 0 ? malloc((size_t)len + 1) : NULL;

    if (text != NULL) {
        memcpy(text, data, (size_t)len);
        text[len] = '\0';
    }
    return text;
}

static bool key_to_pem(struct certification *certification)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (bio != NULL &&
        PEM_write_bio_PrivateKey(bio, certification->key, NULL, NULL, 0, NULL, NULL) == 1)
        certification->key_pem = text_of(bio);
    BIO_free(bio);
    return certification->key_pem != NULL || crypto_failed(certification->store, "write the key");
}

bool certification_make_key(struct certification *certification)
{
    certification->key = EVP_EC_gen("P-256");
    return certification->key != NULL ? key_to_pem(certification)
                                      : crypto_failed(certification->store, "make a key");
}

bool certification_take_key(struct certification *certification, struct rpc_bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);

    if (bio != NULL)
        certification->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return certification->key != NULL
               ? key_to_pem(certification)
               : store_fail(certification->store, OUTPOST_BAD_INPUT, "the kept key is damaged");
}

bool certification_make_request(struct certification *certification)
{
    X509_REQ *request = X509_REQ_new();
    bool made = request != NULL && X509_REQ_set_version(request, 0) == 1 &&
                X509_REQ_set_pubkey(request, certification->key) == 1 &&
                X509_REQ_sign(request, certification->key, EVP_sha256()) > 0;
    if (made)
        certification->request_len = i2d_X509_REQ(request, &certification->request);
    X509_REQ_free(request);
    return (made && certification->request_len > 0) ||
           crypto_failed(certification->store, "make a request");
}

static char *certificates_to_pem(const ProtobufCBinaryData *certificates, size_t count)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool good = bio != NULL && count <= CHAIN_MAX;
    char *text = NULL;

    for (size_t i = 0; good && i < count; i++) {
        const uint8_t *der = certificates[i].data;
        X509 *certificate = d2i_X509(NULL, &der, (long)certificates[i].len);
        good = certificate != NULL && PEM_write_bio_X509(bio, certificate) == 1;
        X509_free(certificate);
    }
    if (good)
        text = text_of(bio);
    BIO_free(bio);
    return text;
}

/* ---- The call ---------------------------------------------------------------------------- */

static bool take_ids(struct certification *certification,
                     const Outpost__V1__EnrolResponse *response)
{
    const struct {
        const ProtobufCBinaryData *from;
        struct record_uuid *to;
    } ids[] = {
        {&response->device_id, &certification->device_id},
        {&response->facility_id, &certification->facility_id},
        {&response->enrolment_region_id, &certification->region_id},
    };

    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (!record_uuid_from_bytes(rpc_bytes_view(ids[i].from->data, ids[i].from->len),
                                    ids[i].to) ||
            record_uuid_is_zero(ids[i].to))
            return false;
    return true;
}

void certification_done(void *context, const struct rpc_status *status,
                        const Outpost__V1__EnrolResponse *response)
{
    struct certification *certification = context;

    certification->closed = true;
    certification->ended = *status;
    if (response == NULL)
        return;
    certification->admin = response->admin;
    certification->certificate_pem = certificates_to_pem(&response->certificate, 1);
    if (response->n_ca_chain > 0)
        certification->ca_pem = certificates_to_pem(response->ca_chain, response->n_ca_chain);
    else
        certification->ca_pem = strdup(certification->known_ca_pem);
    if (certification->certificate_pem == NULL || certification->ca_pem == NULL ||
        !take_ids(certification, response))
        store_fail(certification->store, OUTPOST_BUG,
                   "the server sent a malformed certificate: report it");
}

static bool is_closed(void *context)
{
    const struct certification *certification = context;

    return certification->closed;
}

struct rpc_status certification_run(struct certification *certification, rpc_call *call,
                                    rpc_channel *channel)
{
    struct rpc_status status;

    if (call == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "the connection is gone");
    status = rpc_channel_run(channel, is_closed, certification);
    return certification->closed ? certification->ended : status;
}

/* ---- Keeping it ------------------------------------------------------------------------------ */

bool certification_keep(struct certification *certification)
{
    sqlite3_stmt *identity = store_statement(certification->store, STORE_IDENTITY_SET);

    if (identity != NULL) {
        sqlite3_bind_text(identity, 1, certification->key_pem, -1, SQLITE_STATIC);
        sqlite3_bind_text(identity, 2, certification->certificate_pem, -1, SQLITE_STATIC);
        sqlite3_bind_text(identity, 3, certification->ca_pem, -1, SQLITE_STATIC);
    }
    return store_run(certification->store, identity);
}
