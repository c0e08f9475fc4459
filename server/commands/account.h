/* SPDX-License-Identifier: Apache-2.0
 *
 * Who runs the command, for what is decided by a person.
 */
#ifndef OUTPOST_SERVER_COMMANDS_ACCOUNT_H
#define OUTPOST_SERVER_COMMANDS_ACCOUNT_H

#include "store.h"

/* The account's name, or its number where it has none. */
void account_name(char name_out[STORE_ACCOUNT_LEN]);

#endif
