/* SPDX-License-Identifier: Apache-2.0
 *
 * A file that is there whole or not at all: it is written under another name,
 * made durable, and only then gets its own. One that is there already stays as
 * it is.
 */
#ifndef OUTPOST_SERVER_NEW_FILE_H
#define OUTPOST_SERVER_NEW_FILE_H

#include "outpost/rpc_status.h"

#include <stdbool.h>
#include <stdio.h>

enum { NEW_FILE_PATH_LEN = 4096 };

struct new_file {
    FILE *file; /* to be written to */
    char path[NEW_FILE_PATH_LEN];
    char draft[NEW_FILE_PATH_LEN + 8];
};

struct rpc_status new_file_open(struct new_file *new_file, const char *folder, const char *name,
                                int mode);

/* Ends what new_file_open began; good: everything was written.
 * ALREADY_EXISTS: there is a file of that name. */
struct rpc_status new_file_close(struct new_file *new_file, bool good);

#endif
