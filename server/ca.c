/* SPDX-License-Identifier: Apache-2.0 */
#include "ca.h"

#include "new_file.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

static const char device_uri[] = "urn:outpost:device:";

enum { SERIAL_LEN = 16, PATH_LEN = 4096, SECONDS_PER_DAY = 86400 };

struct ca {
    EVP_PKEY *key;
    X509 *certificate;
    uint8_t *der;
    int der_len;
};

static struct rpc_status openssl_status(const char *doing)
{
    char text[160];

    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return rpc_status_make(RPC_INTERNAL, "%s: %s", doing, text);
}

/* ---- Certificates -------------------------------------------------------- */

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool set_serial(X509 *certificate)
{
    uint8_t bytes[SERIAL_LEN];

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40); /* positive, and never short */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool set =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return set;
}

/* A certificate for the key, not yet signed. It is valid from a day ago, since
 * a phone's clock may be behind. */
static X509 *certificate_new(EVP_PKEY *key, const char *common_name, X509 *issuer, long days)
{
    X509 *certificate = X509_new();

    if (certificate == NULL)
        return NULL;
    X509_NAME *subject = X509_get_subject_name(certificate);
    bool good = X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
                X509_gmtime_adj(X509_getm_notBefore(certificate), -SECONDS_PER_DAY) != NULL &&
                X509_time_adj_ex(X509_getm_notAfter(certificate), (int)days, 0, NULL) != NULL &&
                X509_set_pubkey(certificate, key) == 1 &&
                X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                           (const unsigned char *)common_name, -1, -1, 0) == 1 &&
                X509_set_issuer_name(certificate,
                                     issuer != NULL ? X509_get_subject_name(issuer) : subject) == 1;
    if (good)
        return certificate;
    X509_free(certificate);
    return NULL;
}

/* ---- Files --------------------------------------------------------------- */

static FILE *open_file(const char *folder, const char *name)
{
    char path[PATH_LEN];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return fopen(path, "re");
}

/* The key of that name; made and written if there is none, so that an init that
 * was interrupted between a key and its certificate can go on. */
static struct rpc_status take_key(const char *folder, const char *name, EVP_PKEY **key_out)
{
    FILE *file = open_file(folder, name);
    struct new_file new_file;

    if (file != NULL) {
        *key_out = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        fclose(file);
        ERR_clear_error();
        return *key_out != NULL ? rpc_status_ok()
                                : rpc_status_make(RPC_FAILED_PRECONDITION,
                                                  "%s/%s holds no key that can be read: move it"
                                                  " away",
                                                  folder, name);
    }
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (key == NULL)
        return openssl_status("make a key");
    struct rpc_status status = new_file_open(&new_file, folder, name, 0600);
    if (rpc_ok(&status)) {
        bool good = PEM_write_PrivateKey(new_file.file, key, NULL, NULL, 0, NULL, NULL) == 1;
        status = new_file_close(&new_file, good);
    }
    if (rpc_ok(&status))
        *key_out = key;
    else
        EVP_PKEY_free(key);
    return status;
}

static struct rpc_status write_certificates(const char *folder, const char *name, X509 *leaf,
                                            X509 *issuer)
{
    struct new_file new_file;
    struct rpc_status status = new_file_open(&new_file, folder, name, 0644);

    if (!rpc_ok(&status))
        return status;
    bool good = PEM_write_X509(new_file.file, leaf) == 1;
    if (good && issuer != NULL)
        good = PEM_write_X509(new_file.file, issuer) == 1;
    return new_file_close(&new_file, good);
}

/* ---- The authority ------------------------------------------------------- */

struct rpc_status ca_create(const char *folder)
{
    EVP_PKEY *key = NULL;
    struct rpc_status status = take_key(folder, "ca.key", &key);

    if (!rpc_ok(&status))
        return status;
    X509 *certificate = certificate_new(key, "Outpost CA", NULL, CA_YEARS * 365L);
    if (certificate == NULL ||
        !add_extension(certificate, certificate, NID_basic_constraints,
                       "critical,CA:TRUE,pathlen:0") ||
        !add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(certificate, certificate, NID_subject_key_identifier, "hash") ||
        X509_sign(certificate, key, EVP_sha256()) == 0) {
        status = openssl_status("make the CA");
        goto cleanup;
    }
    status = write_certificates(folder, "ca.pem", certificate, NULL);
cleanup:
    X509_free(certificate);
    EVP_PKEY_free(key);
    return status;
}

struct rpc_status ca_load(const char *folder, struct ca **ca_out)
{
    struct ca *ca = calloc(1, sizeof *ca);
    FILE *file = open_file(folder, "ca.key");

    if (ca == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "load the CA: out of memory");
    if (file != NULL) {
        ca->key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        fclose(file);
    }
    file = open_file(folder, "ca.pem");
    if (file != NULL) {
        ca->certificate = PEM_read_X509(file, NULL, NULL, NULL);
        fclose(file);
    }
    if (ca->key != NULL && ca->certificate != NULL)
        ca->der_len = i2d_X509(ca->certificate, &ca->der);
    if (ca->der_len <= 0) {
        ca_free(ca);
        ERR_clear_error();
        return rpc_status_make(RPC_NOT_FOUND,
                               "%s has no readable ca.key and ca.pem: run outpostd init", folder);
    }
    *ca_out = ca;
    return rpc_status_ok();
}

void ca_free(struct ca *ca)
{
    if (ca == NULL)
        return;
    EVP_PKEY_free(ca->key);
    X509_free(ca->certificate);
    OPENSSL_free(ca->der);
    free(ca);
}

struct rpc_bytes ca_certificate(const struct ca *ca)
{
    return rpc_bytes_view(ca->der, (size_t)ca->der_len);
}

/* ---- The server's certificate -------------------------------------------- */

static bool is_address(const char *host)
{
    struct in6_addr address;

    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static bool hosts_text(const char *const *hosts, size_t host_count, char *text, size_t len)
{
    int used = snprintf(text, len, "DNS:localhost,IP:127.0.0.1,IP:::1");

    for (size_t i = 0; i < host_count; i++) {
        if (hosts[i][strspn(hosts[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789.-:*_")] != '\0')
            return false;
        used += snprintf(text + used, len - (size_t)used, ",%s:%s",
                         is_address(hosts[i]) ? "IP" : "DNS", hosts[i]);
        if ((size_t)used >= len)
            return false;
    }
    return true;
}

struct rpc_status ca_create_server(const char *folder, const char *const *hosts, size_t host_count)
{
    struct ca *ca;
    char names[2048];
    struct rpc_status status = ca_load(folder, &ca);

    if (!rpc_ok(&status))
        return status;
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    if (!hosts_text(hosts, host_count, names, sizeof names))
        status = rpc_status_make(RPC_INVALID_ARGUMENT,
                                 "a --host is a DNS name or an IP address, and all together fit"
                                 " into 2,000 characters");
    else
        status = take_key(folder, "server.key", &key);
    if (!rpc_ok(&status))
        goto cleanup;
    certificate = certificate_new(key, "Outpost server", ca->certificate, CA_SERVER_DAYS);
    if (certificate == NULL ||
        !add_extension(certificate, ca->certificate, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(certificate, ca->certificate, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(certificate, ca->certificate, NID_ext_key_usage, "serverAuth") ||
        !add_extension(certificate, ca->certificate, NID_subject_alt_name, names) ||
        !add_extension(certificate, ca->certificate, NID_authority_key_identifier, "keyid") ||
        X509_sign(certificate, ca->key, EVP_sha256()) == 0) {
        status = openssl_status("make the server's certificate");
        goto cleanup;
    }
    status = write_certificates(folder, "server.pem", certificate, ca->certificate);
cleanup:
    X509_free(certificate);
    EVP_PKEY_free(key);
    ca_free(ca);
    return status;
}

/* ---- Devices' certificates ----------------------------------------------- */

static bool is_p256(EVP_PKEY *key)
{
    char group[32];
    size_t len;

    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

static struct rpc_status parse_request(struct rpc_bytes bytes, X509_REQ **request_out)
{
    const unsigned char *data = bytes.data;
    X509_REQ *request = bytes.len > 0 && bytes.len <= CA_REQUEST_BYTES_MAX
                            ? d2i_X509_REQ(NULL, &data, (long)bytes.len)
                            : NULL;
    EVP_PKEY *key = request != NULL ? X509_REQ_get0_pubkey(request) : NULL;

    if (key != NULL && is_p256(key) && X509_REQ_verify(request, key) == 1) {
        *request_out = request;
        return rpc_status_ok();
    }
    ERR_clear_error();
    X509_REQ_free(request);
    return rpc_status_make(RPC_INVALID_ARGUMENT,
                           "certificate_request must be a PKCS #10 request in DER, signed by a"
                           " P-256 key");
}

struct rpc_status ca_check_request(struct rpc_bytes bytes, uint8_t *public_key_out,
                                   size_t public_key_max, size_t *public_key_len_out)
{
    X509_REQ *request = NULL;
    struct rpc_status status = parse_request(bytes, &request);
    uint8_t *der = NULL;

    if (!rpc_ok(&status))
        return status;
    int len = i2d_PUBKEY(X509_REQ_get0_pubkey(request), &der);
    if (len > 0 && (size_t)len <= public_key_max) {
        memcpy(public_key_out, der, (size_t)len);
        *public_key_len_out = (size_t)len;
    } else {
        status = openssl_status("write a public key");
    }
    OPENSSL_free(der);
    X509_REQ_free(request);
    return status;
}

static bool append_der(X509 *certificate, struct rpc_buffer *buffer)
{
    uint8_t *der = NULL;
    int len = i2d_X509(certificate, &der);

    if (len <= 0)
        return false;
    rpc_buffer_append(buffer, der, (size_t)len);
    OPENSSL_free(der);
    return !buffer->failed;
}

struct rpc_status ca_sign_device(struct ca *ca, struct rpc_bytes bytes,
                                 const struct record_uuid *device_id,
                                 struct rpc_buffer *certificate_out)
{
    X509_REQ *request = NULL;
    char id[RECORD_UUID_TEXT_LEN + 1];
    char name[sizeof "URI:" + sizeof device_uri + RECORD_UUID_TEXT_LEN];
    struct rpc_status status = parse_request(bytes, &request);

    if (!rpc_ok(&status))
        return status;
    record_uuid_format(device_id, id);
    snprintf(name, sizeof name, "URI:%s%s", device_uri, id);
    X509 *certificate =
        certificate_new(X509_REQ_get0_pubkey(request), id, ca->certificate, CA_DEVICE_DAYS);
    if (certificate == NULL ||
        !add_extension(certificate, ca->certificate, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(certificate, ca->certificate, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(certificate, ca->certificate, NID_ext_key_usage, "clientAuth") ||
        !add_extension(certificate, ca->certificate, NID_subject_alt_name, name) ||
        !add_extension(certificate, ca->certificate, NID_authority_key_identifier, "keyid") ||
        X509_sign(certificate, ca->key, EVP_sha256()) == 0 ||
        !append_der(certificate, certificate_out))
        status = openssl_status("sign a device's certificate");
    X509_free(certificate);
    X509_REQ_free(request);
    return status;
}

bool ca_sign_wipe(struct ca *ca, const struct wipe_signed *order,
                  struct wipe_signature *signature_out)
{
    return wipe_sign(ca->key, order, signature_out);
}

bool ca_verify_wipe(struct rpc_bytes public_key, const struct wipe_signed *report,
                    struct rpc_bytes signature)
{
    const unsigned char *data = public_key.data;
    EVP_PKEY *key = public_key.len > 0 ? d2i_PUBKEY(NULL, &data, (long)public_key.len) : NULL;
    bool good = key != NULL && wipe_verify(key, report, signature);

    EVP_PKEY_free(key);
    ERR_clear_error();
    return good;
}

bool ca_device_of(struct rpc_bytes bytes, struct record_uuid *device_id_out)
{
    const unsigned char *data = bytes.data;
    X509 *certificate = bytes.len > 0 ? d2i_X509(NULL, &data, (long)bytes.len) : NULL;
    GENERAL_NAMES *names = certificate != NULL
                               ? X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL)
                               : NULL;
    bool found = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char text[sizeof device_uri + RECORD_UUID_TEXT_LEN];
        if (name->type != GEN_URI ||
            ASN1_STRING_length(name->d.uniformResourceIdentifier) != (int)sizeof text - 1)
            continue;
        memcpy(text, ASN1_STRING_get0_data(name->d.uniformResourceIdentifier), sizeof text - 1);
        text[sizeof text - 1] = '\0';
        found = strncmp(text, device_uri, sizeof device_uri - 1) == 0 &&
                record_uuid_parse(text + sizeof device_uri - 1, device_id_out);
    }
    GENERAL_NAMES_free(names);
    X509_free(certificate);
    return found;
}
