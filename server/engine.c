/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <unistd.h>

bool engine_is_postgres(const char *store)
{
    return strncmp(store, "postgresql://", 13) == 0 || strncmp(store, "postgres://", 11) == 0 ||
           strchr(store, '=') != NULL;
}

bool engine_known(const char *store)
{
    return strcmp(store, "sqlite") == 0 || engine_is_postgres(store);
}

static struct rpc_status check_known(const struct config *config)
{
    if (engine_known(config->store))
        return rpc_status_ok();
    return rpc_status_make(RPC_INVALID_ARGUMENT,
                           "%s/outpostd.ini: store must be sqlite or postgresql://..., not"
                           " \"%.64s\"",
                           config->folder, config->store);
}

/* SQLite makes a file that everybody may read; its -wal and -shm take its mode. */
static void make_private(const char *file)
{
    int descriptor = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (descriptor >= 0)
        close(descriptor); /* else opening the database tells why */
}

struct rpc_status engine_prepare(const struct config *config, const char *owner,
                                 const char *distributed)
{
    struct store_options options = {0};
    struct store *store = NULL;
    char path[CONFIG_PATH_LEN];
    struct rpc_status status = check_known(config);

    if (!rpc_ok(&status))
        return status;
    if (engine_is_postgres(config->store))
        return store_postgres_prepare(&(struct store_postgres_setup){
            .conninfo = config->store, .owner = owner, .distributed = distributed != NULL});
    if (owner != NULL || distributed != NULL)
        return rpc_status_make(RPC_INVALID_ARGUMENT,
                               "--owner and --distributed are for a PostgreSQL database, and this"
                               " store is SQLite's");
    config_path(config, "outpost.db", path);
    make_private(path);
    status = store_sqlite_open(path, true, &options, &store);
    store_close(store);
    return status;
}

struct rpc_status engine_open(const struct config *config, const struct store_options *options,
                              struct store **store_out)
{
    char path[CONFIG_PATH_LEN];
    struct rpc_status status = check_known(config);

    if (!rpc_ok(&status))
        return status;
    if (engine_is_postgres(config->store))
        return store_postgres_open(config->store, options, store_out);
    config_path(config, "outpost.db", path);
    return store_sqlite_open(path, false, options, store_out);
}

/* libpq takes the conninfo apart; what it calls a secret is left out. */
void engine_shown(const char *store, char shown_out[CONFIG_TEXT_LEN])
{
    PQconninfoOption *options = engine_is_postgres(store) ? PQconninfoParse(store, NULL) : NULL;
    size_t len = 0;

    snprintf(shown_out, CONFIG_TEXT_LEN, "%s", engine_is_postgres(store) ? "postgresql" : store);
    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if (o->val == NULL || o->dispchar[0] == '*')
            continue;
        int added = snprintf(shown_out + len, CONFIG_TEXT_LEN - len, "%s%s=%s", len > 0 ? " " : "",
                             o->keyword, o->val);
        len += added > 0 && (size_t)added < CONFIG_TEXT_LEN - len ? (size_t)added : 0;
    }
    PQconninfoFree(options);
}
