/* SPDX-License-Identifier: Apache-2.0
 *
 * See device_half.h.
 */
#include "device_half.h"

#include "device.h"
#include "resend.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>

struct device_half {
    outpost *device;
    struct sync_session *session;
    bool failed; /* the session is over; error says why */
    struct device_half_result result;
    char error[DEVICE_HALF_ERROR_LEN];
};

static bool failed(struct device_half *half)
{
    struct outpost_status status = device_status(half->device);

    half->failed = true;
    snprintf(half->error, sizeof half->error, "%s: %s", outpost_code_name(status.code),
             status.message);
    return false;
}

struct device_half *device_half_open(const char *path, bool create,
                                     char error_out[DEVICE_HALF_ERROR_LEN])
{
    return device_half_open_with(path, create, NULL, error_out);
}

struct device_half *device_half_open_with(const char *path, bool create,
                                          const struct record_schema *schema,
                                          char error_out[DEVICE_HALF_ERROR_LEN])
{
    struct device_half *half = calloc(1, sizeof *half);
    struct outpost_options options;

    if (half == NULL)
        abort();
    outpost_options_init_default(&options);
    options.path = path;
    options.create = create;
    options.schema = schema;
    struct outpost_status status = outpost_open(&options, &half->device);
    if (status.code == OUTPOST_OK)
        return half;
    snprintf(error_out, DEVICE_HALF_ERROR_LEN, "open: %s: %s", outpost_code_name(status.code),
             status.message);
    free(half);
    return NULL;
}

void device_half_close(struct device_half *half)
{
    if (half == NULL)
        return;
    sync_session_free(half->session);
    outpost_close(half->device);
    free(half);
}

bool device_half_enrol(struct device_half *half, const struct record_uuid *device_id,
                       const struct record_uuid *facility_id, uint32_t push_batch)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(half->device->store.db,
                           "UPDATE outpost_state SET device_id = ?1, facility_id = ?2,"
                           " push_batch = ?3",
                           -1, &statement, NULL) != SQLITE_OK)
        return false;
    store_bind_uuid(statement, 1, device_id);
    store_bind_uuid(statement, 2, facility_id);
    sqlite3_bind_int64(statement, 3, push_batch);
    int code = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return code == SQLITE_DONE;
}

bool device_half_set_facility(struct device_half *half, const struct record_uuid *facility_id)
{
    struct outpost_status status = outpost_set_facility(half->device, facility_id->bytes);

    return status.code == OUTPOST_OK;
}

/* As recertify.c does with a certificate. */
bool device_half_take_identity(struct device_half *half, const struct record_uuid *device_id,
                               bool admin)
{
    struct store *store = &half->device->store;
    sqlite3_stmt *statement;

    if (store_begin(store, STORE_FULL)) {
        statement = store_statement(store, STORE_STATE_IDENTITY_SET);
        store_bind_uuid(statement, 1, device_id);
        if (statement != NULL)
            sqlite3_bind_int(statement, 2, admin);
        (void)!(store_run(store, statement) && resend_journal(store) && store_commit(store));
    }
    return device_status(half->device).code == OUTPOST_OK;
}

bool device_half_begin(struct device_half *half, int64_t now_ms, uint32_t seal_part)
{
    struct sync_session_options options = {.now_ms = now_ms, .seal_part = seal_part};

    half->failed = false;
    half->error[0] = '\0';
    half->result = (struct device_half_result){0};
    return sync_session_new(&half->device->store, &options, &half->session) || failed(half);
}

enum device_half_step device_half_next(struct device_half *half, struct rpc_bytes *message_out)
{
    enum session_step step = SESSION_WAIT;

    if (half->failed || !sync_session_next(half->session, &step, message_out)) {
        if (!half->failed)
            failed(half);
        return DEVICE_HALF_FAILED;
    }
    return step == SESSION_SEND         ? DEVICE_HALF_SEND
           : step == SESSION_HALF_CLOSE ? DEVICE_HALF_HALF_CLOSE
                                        : DEVICE_HALF_WAIT;
}

bool device_half_receive(struct device_half *half, struct rpc_bytes message)
{
    if (half->failed)
        return false;
    return sync_session_receive(half->session, message) || failed(half);
}

struct device_half_result device_half_result(const struct device_half *half)
{
    if (half->session == NULL)
        return half->result;
    const struct outpost_sync_result *result = sync_session_result(half->session);
    return (struct device_half_result){
        .caught_up = result->caught_up,
        .digest_mismatch = result->digest_mismatch,
        .pushed = result->pushed,
        .retried = result->retried,
        .pulled = result->pulled,
        .withdrawn = result->withdrawn,
    };
}

bool device_half_end(struct device_half *half)
{
    bool good = !half->failed && half->session != NULL && sync_session_caught_up(half->session);

    half->result = device_half_result(half);
    if (good && half->result.digest_mismatch) {
        snprintf(half->error, sizeof half->error, "the digests differ");
        good = false;
    }
    sync_session_free(half->session);
    half->session = NULL;
    device_status(half->device);
    return good;
}

bool device_half_verify(struct device_half *half)
{
    struct outpost_verify_result result;
    struct outpost_status status = outpost_verify(half->device, &result);

    snprintf(half->error, sizeof half->error, "verify: %s: %s", outpost_code_name(status.code),
             status.code != OUTPOST_OK ? status.message : "nothing to compare with");
    return status.code == OUTPOST_OK && result.compared;
}

const char *device_half_error(const struct device_half *half)
{
    return half->error;
}
