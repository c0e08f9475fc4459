/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd migrate: the store's schema as this program needs it.
 */
#include "command.h"

#include "engine.h"

struct rpc_status command_migrate(struct command *command)
{
    struct store_options options = {.roles = command->roles};

    return engine_open(&command->config, true, &options, &command->store);
}
