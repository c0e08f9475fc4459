/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates for tests, made in memory: a CA, and leaves that it signs.
 */
#ifndef OUTPOST_TESTS_RPC_CERTIFICATES_H
#define OUTPOST_TESTS_RPC_CERTIFICATES_H

#include "outpost/rpc.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

struct certificate {
    EVP_PKEY *key;
    X509 *x509;
    BIO *key_pem;
    BIO *x509_pem;
};

static inline void certificate_add(X509 *x509, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    if (extension == NULL || X509_add_ext(x509, extension, -1) != 1)
        abort();
    X509_EXTENSION_free(extension);
}

/* issuer NULL: a CA. names: a subjectAltName, or NULL for none. Valid for two hours
 * around that many seconds from now. */
static inline struct certificate certificate_make_at(long seconds, const char *common_name,
                                                     const char *names,
                                                     const struct certificate *issuer)
{
    static long serial = 1;
    struct certificate made = {.key = EVP_EC_gen("P-256"), .x509 = X509_new()};
    X509_NAME *name = X509_get_subject_name(made.x509);

    X509_set_version(made.x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.x509), seconds - 3600);
    X509_gmtime_adj(X509_getm_notAfter(made.x509), seconds + 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1,
                               -1, 0);
    X509_set_issuer_name(made.x509, issuer != NULL ? X509_get_subject_name(issuer->x509) : name);
    X509_set_pubkey(made.x509, made.key);
    certificate_add(made.x509, NID_basic_constraints,
                    issuer == NULL ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (names != NULL)
        certificate_add(made.x509, NID_subject_alt_name, names);
    if (X509_sign(made.x509, issuer != NULL ? issuer->key : made.key, EVP_sha256()) == 0)
        abort();
    made.key_pem = BIO_new(BIO_s_mem());
    made.x509_pem = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(made.key_pem, made.key, NULL, NULL, 0, NULL, NULL);
    PEM_write_bio_X509(made.x509_pem, made.x509);
    return made;
}

static inline struct certificate certificate_make(const char *common_name, const char *names,
                                                  const struct certificate *issuer)
{
    return certificate_make_at(0, common_name, names, issuer);
}

static inline void certificate_free(struct certificate *certificate)
{
    EVP_PKEY_free(certificate->key);
    X509_free(certificate->x509);
    BIO_free(certificate->key_pem);
    BIO_free(certificate->x509_pem);
}

static inline struct rpc_bytes certificate_bytes(BIO *pem)
{
    char *data = NULL;
    long len = BIO_get_mem_data(pem, &data);

    return rpc_bytes_view(data, (size_t)len);
}

#endif
