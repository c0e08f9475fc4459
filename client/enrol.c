/* SPDX-License-Identifier: Apache-2.0
 *
 * How a device becomes known: one call that trades a one-time code and a new key for
 * a certificate; see outpost_enrol.
 *
 * Nothing is written before the server has said yes, and then everything in one
 * FULL transaction: a certificate without its key, or the other way round, is
 * never on disk.
 */
#include "certify.h"
#include "device.h"
#include "wipe.h"

static struct rpc_status call_enrol(struct certification *certification, const char *code,
                                    rpc_channel *channel)
{
    Outpost__V1__EnrolRequest request = OUTPOST__V1__ENROL_REQUEST__INIT;
    struct rpc_metadata_list metadata = {NULL, 0};

    request.code = (char *)code;
    request.certificate_request.data = certification->request;
    request.certificate_request.len = (size_t)certification->request_len;
    return certification_run(certification,
                             outpost_v1_enrolment_service_client_enrol(
                                 rpc_channel_conn(channel), metadata, CERTIFY_TIMEOUT_MS, &request,
                                 certification_done, certification),
                             channel);
}

static struct rpc_status run_enrol(struct certification *certification,
                                   const struct outpost_enrol_options *options)
{
    struct rpc_tls_options tls_options = {
        .ca_pem = rpc_bytes_view(options->ca_pem, strlen(options->ca_pem)),
        .clock_unreliable = true};
    struct rpc_channel_options channel_options;
    rpc_channel *channel = NULL;
    rpc_tls *tls = NULL;
    struct rpc_status status = rpc_tls_client_new(&tls_options, &tls);

    if (!rpc_ok(&status)) {
        store_fail(certification->store, OUTPOST_BAD_INPUT, "the CA certificate: %s",
                   status.message);
        return rpc_status_ok();
    }
    rpc_channel_options_init_default(&channel_options);
    channel_options.address = options->server;
    channel_options.tls = tls;
    channel_options.user_agent = "outpost/0.1";
    channel_options.cancelled = options->cancelled;
    channel_options.context = options->context;
    status = rpc_channel_open(&channel_options, &channel);
    if (rpc_ok(&status))
        status = call_enrol(certification, options->code, channel);
    else if (status.code == RPC_INVALID_ARGUMENT)
        store_fail(certification->store, OUTPOST_USAGE, "%s", status.message);
    rpc_channel_close(channel);
    rpc_tls_free(tls);
    return status;
}

static bool keep(struct certification *certification, const char *server)
{
    struct store *store = certification->store;
    sqlite3_stmt *enrolled;

    if (!store_begin(store, STORE_FULL))
        return false;
    enrolled = store_statement(store, STORE_STATE_ENROLLED_SET);
    if (enrolled == NULL)
        return false;
    store_bind_uuid(enrolled, 1, &certification->device_id);
    store_bind_uuid(enrolled, 2, &certification->facility_id);
    store_bind_uuid(enrolled, 3, &certification->region_id);
    sqlite3_bind_int(enrolled, 4, certification->admin);
    sqlite3_bind_text(enrolled, 5, server, -1, SQLITE_STATIC);
    return certification_keep(certification) && store_run(store, enrolled) && store_commit(store);
}

static bool not_enrolled_yet(struct store *store)
{
    struct device_state state;

    device_state_init(&state);
    if (wipe_allows(store) && device_state_load(store, &state) && state.enrolled)
        store_fail(store, OUTPOST_USAGE,
                   "this database is enrolled already; take another file for another device");
    device_state_deinit(&state);
    return store_ok(store);
}

struct outpost_status outpost_enrol(outpost *device, const struct outpost_enrol_options *options)
{
    struct certification certification = {.store = &device->store, .known_ca_pem = options->ca_pem};
    struct outpost_status status;
    struct rpc_status ended = rpc_status_ok();

    if (not_enrolled_yet(&device->store) && certification_make_key(&certification) &&
        certification_make_request(&certification)) {
        ended = run_enrol(&certification, options);
        if (store_ok(&device->store) && rpc_ok(&ended))
            (void)!keep(&certification, options->server);
    }
    status = device_status(device);
    if (status.code == OUTPOST_OK)
        status = device_status_of_call("enrolment", &ended);
    certification_deinit(&certification);
    return status;
}
