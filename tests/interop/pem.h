/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS files of the interop programs' command lines.
 */
#ifndef OUTPOST_TESTS_INTEROP_PEM_H
#define OUTPOST_TESTS_INTEROP_PEM_H

#include "outpost/rpc.h"

#include <stdio.h>
#include <stdlib.h>

enum { PEM_BYTES_MAX = 1024 * 1024 }; /* the CAs of a whole system */

/* The whole file; ends the program when it cannot be read. */
static inline struct rpc_bytes pem_read(const char *path)
{
    uint8_t *data = malloc(PEM_BYTES_MAX);
    FILE *file = fopen(path, "rb");

    if (data == NULL || file == NULL) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(EXIT_FAILURE);
    }
    size_t len = fread(data, 1, PEM_BYTES_MAX, file);
    fclose(file);
    return rpc_bytes_view(data, len);
}

static inline void pem_free(struct rpc_tls_options *options)
{
    free((void *)options->ca_pem.data);
    free((void *)options->certificate_pem.data);
    free((void *)options->key_pem.data);
}

#endif
