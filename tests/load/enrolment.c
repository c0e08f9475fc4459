/* SPDX-License-Identifier: Apache-2.0 */
#include "enrolment.h"

#include "outpost/v1/enrolment.rpc.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

enum {
    /* Calls at once: the server admits RPC_CALLS_MAX on a connection. */
    CALLS_AT_ONCE = 50,
    CALL_TIMEOUT_MS = 120000,
    PEM_BYTES_MAX = 16 * 1024,
};

struct enrolment {
    struct fleet *fleet;
    struct rpc_bytes ca_pem;
    const struct enrolment_code *codes;
    size_t first, count;
    struct enrolment_place *places;
    size_t started, done;
    struct connection *connection;
    struct rpc_status status; /* of the first fault */
};

/* One device's part. */
struct applicant {
    struct enrolment *enrolment;
    struct device *device;
    EVP_PKEY *key;
};

static void start_calls(struct enrolment *enrolment);

static void fault(struct enrolment *enrolment, struct rpc_status status)
{
    if (rpc_ok(&enrolment->status))
        enrolment->status = status;
}

/* ---- PEM ----------------------------------------------------------------------------- */

static void take_text(BIO *bio, struct rpc_buffer *text)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);

    rpc_buffer_append(text, data, len > 0 ? (size_t)len : 0);
    BIO_free(bio);
}

static bool certificate_pem(const ProtobufCBinaryData *der, struct rpc_buffer *text)
{
    const uint8_t *at = der->data;
    X509 *certificate = d2i_X509(NULL, &at, (long)der->len);
    BIO *bio = BIO_new(BIO_s_mem());
    bool good = certificate != NULL && bio != NULL && PEM_write_bio_X509(bio, certificate) == 1;

    take_text(bio, text);
    X509_free(certificate);
    return good;
}

static bool key_pem(EVP_PKEY *key, struct rpc_buffer *text)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool good = bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;

    take_text(bio, text);
    return good;
}

/* ---- The answer ---------------------------------------------------------------------- */

static bool take_identity(struct applicant *applicant, const Outpost__V1__EnrolResponse *response)
{
    struct device *device = applicant->device;
    struct rpc_buffer certificate, key;
    struct rpc_status status = rpc_status_ok();

    rpc_buffer_init(&certificate, PEM_BYTES_MAX);
    rpc_buffer_init(&key, PEM_BYTES_MAX);
    bool good =
        certificate_pem(&response->certificate, &certificate) && key_pem(applicant->key, &key);
    if (good) {
        const struct rpc_tls_options options = {
            .ca_pem = applicant->enrolment->ca_pem,
            .certificate_pem = rpc_buffer_view(&certificate),
            .key_pem = rpc_buffer_view(&key),
        };
        status = rpc_tls_client_new(&options, &device->tls);
    }
    rpc_buffer_deinit(&key);
    rpc_buffer_deinit(&certificate);
    device->enrolled = good && rpc_ok(&status);
    struct enrolment_place *places = applicant->enrolment->places;
    if (places != NULL)
        device->enrolled = device->enrolled &&
                           record_uuid_from_bytes(rpc_bytes_view(response->facility_id.data,
                                                                 response->facility_id.len),
                                                  &places[device->number].facility) &&
                           record_uuid_from_bytes(rpc_bytes_view(response->enrolment_region_id.data,
                                                                 response->enrolment_region_id.len),
                                                  &places[device->number].region);
    return device->enrolled;
}

static void on_done(void *context, const struct rpc_status *status,
                    const Outpost__V1__EnrolResponse *response)
{
    struct applicant *applicant = context;
    struct enrolment *enrolment = applicant->enrolment;

    if (response != NULL && !take_identity(applicant, response))
        fault(enrolment, rpc_status_make(RPC_INTERNAL, "the server's certificate is not one"));
    if (!rpc_ok(status) && status->code != RPC_PERMISSION_DENIED)
        fault(enrolment, *status);
    EVP_PKEY_free(applicant->key);
    free(applicant);
    enrolment->done++;
    start_calls(enrolment);
}

/* ---- The call ------------------------------------------------------------------------ */

/* PKCS #10, DER; to be freed with OPENSSL_free. */
static int make_request(EVP_PKEY *key, uint8_t **der_out)
{
    X509_REQ *request = X509_REQ_new();
    int len = 0;

    if (request != NULL && X509_REQ_set_version(request, 0) == 1 &&
        X509_REQ_set_pubkey(request, key) == 1 && X509_REQ_sign(request, key, EVP_sha256()) > 0)
        len = i2d_X509_REQ(request, der_out);
    X509_REQ_free(request);
    return len;
}

static bool call(struct applicant *applicant, const char *code)
{
    Outpost__V1__EnrolRequest request = OUTPOST__V1__ENROL_REQUEST__INIT;
    const struct rpc_metadata_list metadata = {NULL, 0};
    uint8_t *der = NULL;

    applicant->key = EVP_EC_gen("P-256");
    int len = applicant->key != NULL ? make_request(applicant->key, &der) : 0;
    request.code = (char *)code;
    request.certificate_request = (ProtobufCBinaryData){(size_t)len, der};
    bool good = len > 0 && outpost_v1_enrolment_service_client_enrol(
                               connection_rpc(applicant->enrolment->connection), metadata,
                               CALL_TIMEOUT_MS, &request, on_done, applicant) != NULL;
    OPENSSL_free(der);
    return good;
}

static void start_calls(struct enrolment *enrolment)
{
    while (rpc_ok(&enrolment->status) && enrolment->started < enrolment->count &&
           enrolment->started - enrolment->done < CALLS_AT_ONCE) {
        size_t i = enrolment->started++;
        struct applicant *applicant = calloc(1, sizeof *applicant);
        if (applicant == NULL)
            abort();
        applicant->enrolment = enrolment;
        applicant->device = &enrolment->fleet->devices[enrolment->first + i];
        if (!call(applicant, enrolment->codes[i].text)) {
            fault(enrolment, rpc_status_make(RPC_UNAVAILABLE, "the connection is gone"));
            EVP_PKEY_free(applicant->key);
            free(applicant);
            enrolment->done++;
        }
    }
}

static void on_gone(void *context)
{
    struct enrolment *enrolment = context;

    enrolment->connection = NULL;
    fault(enrolment, rpc_status_make(RPC_UNAVAILABLE, "the connection is gone"));
}

struct rpc_status enrolment_run(struct fleet *fleet, struct rpc_bytes ca_pem,
                                const struct enrolment_code *codes, size_t first, size_t count,
                                struct enrolment_place *places)
{
    static const struct link_quality plain = {.name = "lan"};
    struct enrolment enrolment = {.fleet = fleet,
                                  .ca_pem = ca_pem,
                                  .codes = codes,
                                  .first = first,
                                  .count = count,
                                  .places = places,
                                  .status = rpc_status_ok()};
    const struct rpc_tls_options tls_options = {.ca_pem = ca_pem};
    struct connection_options options = {
        .quality = &plain, .on_gone = on_gone, .context = &enrolment};
    rpc_tls *tls = NULL;
    struct rpc_status status = rpc_tls_client_new(&tls_options, &tls);

    if (!rpc_ok(&status))
        return status;
    options.tls = tls;
    enrolment.connection = connection_open(&fleet->dialer, &options);
    if (enrolment.connection == NULL)
        fault(&enrolment, rpc_status_make(RPC_UNAVAILABLE, "cannot open a connection"));
    else
        start_calls(&enrolment);
    while (enrolment.done < enrolment.started ||
           (rpc_ok(&enrolment.status) && enrolment.done < enrolment.count)) {
        uv_run(fleet->loop, UV_RUN_ONCE);
        if (fleet->interrupts > 0)
            fault(&enrolment, rpc_status_make(RPC_CANCELLED, "interrupted"));
    }
    if (enrolment.connection != NULL)
        connection_close(enrolment.connection);
    uv_run(fleet->loop, UV_RUN_NOWAIT);
    rpc_tls_free(tls);
    return enrolment.status;
}
