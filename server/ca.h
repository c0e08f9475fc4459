/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's own certificate authority: P-256, X.509.
 *
 * It signs the server's certificate and the devices'. A device's certificate
 * names it in one URI, urn:outpost:device:UUID, and nothing else of a request
 * is believed but its key. Whether a device may still sync is its row in the
 * store, never the certificate's age alone.
 */
#ifndef OUTPOST_SERVER_CA_H
#define OUTPOST_SERVER_CA_H

#include "outpost/record.h"
#include "outpost/rpc_status.h"
#include "outpost/wipe.h"

enum {
    CA_YEARS = 20,
    CA_SERVER_DAYS = 825,             /* what strict TLS clients accept at most */
    CA_DEVICE_DAYS = 5 * 365,         /* phones must not stop in the field for want of a renewal */
    CA_REQUEST_BYTES_MAX = 16 * 1024, /* a PKCS #10 request with a P-256 key has about 250 */
};

struct ca;

/* Makes a key and a self-signed certificate; writes them to the folder as
 * ca.key (0600) and ca.pem. ALREADY_EXISTS: a file is there. */
struct rpc_status ca_create(const char *folder);

/* Makes server.key (0600) and server.pem for localhost, the loopback addresses
 * and the given hosts (names or addresses). */
struct rpc_status ca_create_server(const char *folder, const char *const *hosts, size_t host_count);

/* Loads ca.key and ca.pem. */
struct rpc_status ca_load(const char *folder, struct ca **ca_out);
void ca_free(struct ca *ca);

/* Checks a PKCS #10 request (DER): well-formed, signed by its own P-256 key, which is
 * given as SubjectPublicKeyInfo (DER). INVALID_ARGUMENT says what is wrong. */
struct rpc_status ca_check_request(struct rpc_bytes request, uint8_t *public_key_out,
                                   size_t public_key_max, size_t *public_key_len_out);

/* Signs a device's certificate for the key of a request; appends DER. */
struct rpc_status ca_sign_device(struct ca *ca, struct rpc_bytes request,
                                 const struct record_uuid *device_id,
                                 struct rpc_buffer *certificate_out);

/* Signs a wipe order. False: the key is not one to sign with. */
bool ca_sign_wipe(struct ca *ca, const struct wipe_signed *order,
                  struct wipe_signature *signature_out);

/* Whether the key (SubjectPublicKeyInfo, DER) has signed it. */
bool ca_verify_wipe(struct rpc_bytes public_key, const struct wipe_signed *report,
                    struct rpc_bytes signature);

/* The CA's own certificate as DER. */
struct rpc_bytes ca_certificate(const struct ca *ca);

/* The device that a certificate (DER) names. False: it names none. */
bool ca_device_of(struct rpc_bytes certificate, struct record_uuid *device_id_out);

#endif
