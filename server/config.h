/* SPDX-License-Identifier: Apache-2.0
 *
 * DIR/outpostd.ini: how one outpostd is set up.
 */
#ifndef OUTPOST_SERVER_CONFIG_H
#define OUTPOST_SERVER_CONFIG_H

#include "stream.h"

enum { CONFIG_TEXT_LEN = 1024, CONFIG_PATH_LEN = CONFIG_TEXT_LEN + 64 };

struct config {
    char folder[CONFIG_TEXT_LEN]; /* the data folder, as given */
    char store[CONFIG_TEXT_LEN];  /* "sqlite" or a conninfo URI */
    char listen[CONFIG_TEXT_LEN]; /* "ADDR:PORT" */
    struct settings settings;
};

/* Reads folder/outpostd.ini. NOT_FOUND: the folder is not set up;
 * RESOURCE_EXHAUSTED: it cannot be read; INVALID_ARGUMENT names the line. */
struct rpc_status config_load(const char *folder, struct config *config_out);

/* Writes folder/outpostd.ini (0600) with every setting and what it means.
 * ALREADY_EXISTS: it is there, and stays as it is. */
struct rpc_status config_create(const char *folder, const char *store_uri);

/* "FOLDER/NAME" of a file in the data folder. */
void config_path(const struct config *config, const char *name, char path_out[CONFIG_PATH_LEN]);

#endif
