/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd init: a data folder from nothing. The configuration is written
 * last, so that a half-made folder is never taken for a whole one; what was
 * made before a fault stays, and a second init goes on from there.
 */
#include "command.h"

#include "authority.h"
#include "ca.h"
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

static struct rpc_status make_folder(const char *folder)
{
    if (mkdir(folder, 0700) == 0 || errno == EEXIST)
        return rpc_status_ok();
    return rpc_status_make(RPC_RESOURCE_EXHAUSTED, "make the folder %s: %s", folder,
                           strerror(errno));
}

/* Store and CA, which belong together: the servers of one database have one CA. */
static struct rpc_status make_store(struct command *command)
{
    const struct config *config = &command->config;
    const char *owner = command->line->owner;
    struct rpc_status status = engine_prepare(config, owner, NULL);

    if (!rpc_ok(&status))
        return status;
    if (!engine_is_postgres(config->store))
        return ca_create(config->folder);
    if (owner == NULL)
        fprintf(stderr, "outpostd: one role owns the database's tables and serves from them: give"
                        " the owner's URI by --owner for a serving role that cannot change"
                        " history\n");
    return authority_join(owner != NULL ? owner : config->store, config->folder);
}

/* A part that is there already is left as it is. */
static void keep_existing(struct rpc_status *status)
{
    if (status->code == RPC_ALREADY_EXISTS)
        *status = rpc_status_ok();
}

struct rpc_status command_init(struct command *command)
{
    const struct command_line *line = command->line;
    const char *store_uri = line->store_uri != NULL ? line->store_uri : "sqlite";
    struct config existing;
    char shown[CONFIG_TEXT_LEN];
    char path[CONFIG_PATH_LEN];

    if (strlen(line->data) >= CONFIG_TEXT_LEN)
        return command_usage("--data: the path is too long");
    if (strlen(store_uri) >= CONFIG_TEXT_LEN || !engine_known(store_uri))
        return command_usage("--store: sqlite, or postgresql://...");
    strcpy(command->config.store, store_uri);
    strcpy(command->config.folder, line->data);
    struct rpc_status status = config_load(line->data, &existing);
    if (status.code == RPC_RESOURCE_EXHAUSTED)
        return status;
    if (status.code != RPC_NOT_FOUND)
        return rpc_status_make(RPC_ALREADY_EXISTS,
                               "%s is set up already: outpostd init overwrites nothing",
                               line->data);
    status = make_folder(line->data);
    if (rpc_ok(&status))
        status = make_store(command);
    keep_existing(&status);
    if (rpc_ok(&status))
        status = ca_create_server(line->data, line->hosts, line->host_count);
    keep_existing(&status);
    if (rpc_ok(&status))
        status = config_create(line->data, store_uri);
    if (status.code == RPC_UNAVAILABLE)
        status.code = RPC_RESOURCE_EXHAUSTED; /* here: a disk, not a peer */
    if (!rpc_ok(&status))
        return status;
    engine_shown(store_uri, shown);
    json_object_set_new(command->result, "data", json_string(line->data));
    json_object_set_new(command->result, "store", json_string(shown));
    config_path(&command->config, "ca.pem", path);
    json_object_set_new(command->result, "ca", json_string(path));
    return status;
}
