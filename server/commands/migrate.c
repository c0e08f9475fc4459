/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd migrate: the store's schema as this program needs it.
 */
#include "command.h"

#include "engine.h"

struct rpc_status command_migrate(struct command *command)
{
    const char *distributed = command->line->distributed;

    if (distributed != NULL && strcmp(distributed, "citus") != 0)
        return command_usage("--distributed: citus");
    return engine_prepare(&command->config, command->line->owner, distributed);
}
