/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <stdio.h>
#include <string.h>

static struct rpc_bytes text_column(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return rpc_bytes_view(text, text != NULL ? strlen(text) : 0);
}

static bool make_tls(struct link *link, struct store *store)
{
    sqlite3_stmt *identity = store_statement(store, STORE_IDENTITY_GET);
    enum store_step step = store_step(store, identity);
    struct rpc_tls_options options = {.clock_unreliable = true};
    struct rpc_status status;

    if (step == STORE_DONE)
        store_fail(store, OUTPOST_DENIED, "this database is not enrolled: run outpost init");
    if (step != STORE_ROW)
        return false;
    options.key_pem = text_column(identity, 0);
    options.certificate_pem = text_column(identity, 1);
    options.ca_pem = text_column(identity, 2);
    status = rpc_tls_client_new(&options, &link->tls);
    if (rpc_ok(&status))
        rpc_tls_session_offer(link->tls, store_column_bytes(identity, 3));
    else
        store_fail(store, OUTPOST_BAD_INPUT, "the kept identity is damaged: %s", status.message);
    sqlite3_reset(identity);
    return store_ok(store);
}

static bool load_server(struct store *store, char *server_out, size_t size)
{
    struct device_state state;
    bool good;

    device_state_init(&state);
    good = device_state_load(store, &state);
    if (good)
        snprintf(server_out, size, "%s", state.server);
    device_state_deinit(&state);
    return good;
}

bool link_open(struct link *link, struct store *store, bool (*cancelled)(void *context),
               void *context, struct rpc_status *status_out)
{
    struct rpc_channel_options options;
    char server[300];

    *link = (struct link){0};
    *status_out = rpc_status_ok();
    if (!load_server(store, server, sizeof server) || !make_tls(link, store))
        return false;
    rpc_channel_options_init_default(&options);
    options.address = server;
    options.tls = link->tls;
    options.user_agent = "outpost/0.1";
    options.cancelled = cancelled;
    options.context = context;
    *status_out = rpc_channel_open(&options, &link->channel);
    return rpc_ok(status_out);
}

/* A failure to keep the ticket costs the next sync some bytes and nothing else. */
void link_keep_session(struct link *link, struct store *store)
{
    struct rpc_bytes ticket;

    if (link->tls == NULL || !store_ok(store))
        return;
    ticket = rpc_tls_session_view(link->tls);
    if (ticket.len == 0 || ticket.len > STORE_BLOB_BYTES_MAX)
        return;
    if (store_begin(store, STORE_NORMAL) &&
        store_put_bytes(store, STORE_IDENTITY_SESSION_SET, ticket))
        (void)!store_commit(store);
    store_rollback(store);
}

void link_close(struct link *link)
{
    rpc_channel_close(link->channel);
    rpc_tls_free(link->tls);
    *link = (struct link){0};
}
