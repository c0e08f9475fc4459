/* SPDX-License-Identifier: Apache-2.0 */
#include "recertify.h"

#include "certify.h"
#include "link.h"
#include "resend.h"

#include <stdlib.h>

static bool keep_next_key(struct certification *certification)
{
    struct store *store = certification->store;
    sqlite3_stmt *statement;

    if (!store_begin(store, STORE_FULL))
        return false;
    statement = store_statement(store, STORE_IDENTITY_NEXT_KEY_SET);
    if (statement != NULL)
        sqlite3_bind_text(statement, 1, certification->key_pem, -1, SQLITE_STATIC);
    return store_run(store, statement) && store_commit(store);
}

/* The key that was asked with before, or a new one. */
static bool prepare(struct certification *certification, char **ca_pem_out)
{
    struct store *store = certification->store;
    sqlite3_stmt *identity = store_statement(store, STORE_IDENTITY_GET);
    bool asked_before, good;

    if (store_step(store, identity) != STORE_ROW)
        return store_fail(store, OUTPOST_BAD_INPUT, "the database lost its identity");
    certification->known_ca_pem = *ca_pem_out =
        strdup((const char *)sqlite3_column_text(identity, 2));
    asked_before = sqlite3_column_bytes(identity, 4) > 0;
    good = *ca_pem_out != NULL || store_fail(store, OUTPOST_IO, "no memory");
    if (good && asked_before)
        good = certification_take_key(certification,
                                      rpc_bytes_view(sqlite3_column_text(identity, 4),
                                                     (size_t)sqlite3_column_bytes(identity, 4)));
    sqlite3_reset(identity);
    if (good && !asked_before)
        good = certification_make_key(certification) && keep_next_key(certification);
    return good && certification_make_request(certification);
}

static struct rpc_status ask(struct certification *certification, rpc_channel *channel)
{
    Outpost__V1__RecertifyRequest request = OUTPOST__V1__RECERTIFY_REQUEST__INIT;
    struct rpc_metadata_list metadata = {NULL, 0};
    struct rpc_status status = rpc_status_ok();
    struct device_state state;

    device_state_init(&state);
    if (device_state_load(certification->store, &state)) {
        request.certificate_request.data = certification->request;
        request.certificate_request.len = (size_t)certification->request_len;
        request.token.data = state.token.data;
        request.token.len = state.token.len;
        status = certification_run(certification,
                                   outpost_v1_enrolment_service_client_recertify(
                                       rpc_channel_conn(channel), metadata, CERTIFY_TIMEOUT_MS,
                                       &request, certification_done, certification),
                                   channel);
    }
    device_state_deinit(&state);
    return status;
}

/* A copied database's mutations may have been acknowledged to the other one alone, or
 * their answers lost: the journal goes in front of the outbox, as to a restored
 * server (R8). */
static bool take(struct certification *certification)
{
    struct store *store = certification->store;
    sqlite3_stmt *statement;

    if (!store_begin(store, STORE_FULL))
        return false;
    statement = store_statement(store, STORE_STATE_IDENTITY_SET);
    store_bind_uuid(statement, 1, &certification->device_id);
    if (statement != NULL)
        sqlite3_bind_int(statement, 2, certification->admin);
    return store_run(store, statement) && certification_keep(certification) &&
           resend_journal(store) && store_commit(store);
}

struct rpc_status recertify(struct store *store, bool (*cancelled)(void *context), void *context,
                            struct record_uuid *device_id_out)
{
    struct certification certification = {.store = store};
    struct rpc_status status = rpc_status_ok();
    struct link link = {0};
    char *ca_pem = NULL;

    if (prepare(&certification, &ca_pem) && link_open(&link, store, cancelled, context, &status))
        status = ask(&certification, link.channel);
    link_close(&link);
    if (store_ok(store) && rpc_ok(&status) && take(&certification))
        *device_id_out = certification.device_id;
    certification_deinit(&certification);
    free(ca_pem);
    return status;
}
