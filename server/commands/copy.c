/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd copy: a store from one engine to the other.
 */
#include "command.h"

#include "authority.h"
#include "engine.h"
#include "transfer.h"

#include <stdio.h>
#include <sys/stat.h>

/* A side as the line names it, as a configuration: what engine_* take. */
static struct rpc_status take_side(const char *option, const char *text, struct config *config_out)
{
    static const char prefix[] = "sqlite:";
    struct stat info;

    *config_out = (struct config){0};
    if (text == NULL)
        return command_usage("%s is missing: sqlite:DIR or postgresql://...", option);
    bool sqlite = strncmp(text, prefix, sizeof prefix - 1) == 0;
    if (strlen(text) >= CONFIG_TEXT_LEN || (!sqlite && !engine_is_postgres(text)))
        return command_usage("%s: sqlite:DIR or postgresql://...", option);
    strcpy(config_out->store, sqlite ? "sqlite" : text);
    if (!sqlite)
        return rpc_status_ok();
    strcpy(config_out->folder, text + sizeof prefix - 1);
    if (stat(config_out->folder, &info) == 0 && S_ISDIR(info.st_mode))
        return rpc_status_ok();
    char *name = strrchr(config_out->folder, '/');
    name = name != NULL ? name + 1 : config_out->folder;
    if (strcmp(name, "outpost.db") != 0)
        return command_usage("%s: %s is no folder, nor the outpost.db in one", option,
                             config_out->folder);
    strcpy(name, ".");
    return rpc_status_ok();
}

static struct rpc_status open_side(const struct config *config, const char *owner,
                                   struct transfer_side **side_out)
{
    char path[CONFIG_PATH_LEN];

    if (engine_is_postgres(config->store))
        return transfer_postgres_open(owner != NULL ? owner : config->store, side_out);
    config_path(config, "outpost.db", path);
    return transfer_sqlite_open(path, side_out);
}

static struct rpc_status run_copy(struct command *command, struct transfer_side *from,
                                  struct transfer_side *to, bool from_postgres)
{
    static struct transfer_table tables[TRANSFER_TABLES_MAX];
    size_t count = 0;
    struct rpc_status status = transfer_postgres_tables(from_postgres ? from : to, tables, &count);
    json_t *rows = json_object();

    if (rpc_ok(&status))
        status = transfer_all(from, to, tables, count);
    for (size_t i = 0; i < count; i++)
        json_object_set_new(rows, tables[i].name, json_integer((json_int_t)tables[i].rows));
    json_object_set_new(command->result, "rows", rows);
    return status;
}

static struct rpc_status copy_store(struct command *command, const struct config *source,
                                    const struct config *target)
{
    bool from_postgres = engine_is_postgres(source->store);
    const char *owner = command->line->owner;
    struct transfer_side *from = NULL, *to = NULL;
    struct rpc_status status = open_side(source, from_postgres ? owner : NULL, &from);

    if (rpc_ok(&status))
        status = open_side(target, from_postgres ? NULL : owner, &to);
    if (rpc_ok(&status))
        status = run_copy(command, from, to, from_postgres);
    if (to != NULL)
        to->engine->close(to);
    if (from != NULL)
        from->engine->close(from);
    return status;
}

/* The target's schema, and its CA: before the copy, which is refused when that has rows,
 * so that a store that was copied never stands without the CA that its devices know. */
static struct rpc_status prepare_target(const struct config *source, const struct config *target,
                                        const char *owner)
{
    char path[CONFIG_PATH_LEN];
    struct stat info;
    bool postgres = engine_is_postgres(target->store);
    struct rpc_status status = engine_prepare(target, postgres ? owner : NULL, NULL);

    config_path(source, "ca.key", path);
    if (rpc_ok(&status) && postgres && stat(path, &info) == 0)
        status = authority_join(owner != NULL ? owner : target->store, source->folder);
    return status;
}

struct rpc_status command_copy(struct command *command)
{
    const struct command_line *line = command->line;
    struct store_options options = {.roles = command->roles};
    struct config source;
    struct rpc_status status = take_side("--from", line->from, &source);

    if (rpc_ok(&status))
        status = take_side("--to", line->to, &command->config);
    if (rpc_ok(&status) &&
        engine_is_postgres(source.store) == engine_is_postgres(command->config.store))
        return command_usage("copy goes from one engine to the other: of a database pg_dump makes"
                             " a copy, of a SQLite file cp, with outpostd stopped");
    if (rpc_ok(&status))
        status = prepare_target(&source, &command->config, line->owner);
    if (rpc_ok(&status))
        status = copy_store(command, &source, &command->config);
    if (rpc_ok(&status))
        status = engine_open(&command->config, &options, &command->store);
    return rpc_ok(&status) ? command_verify(command) : status;
}
