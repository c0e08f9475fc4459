/* SPDX-License-Identifier: Apache-2.0
 *
 * A fuzz target is one file: the entry point that libFuzzer and its kin call, and
 * seeds from which fuzz_main.c makes its inputs where there is no libFuzzer.
 */
#ifndef OUTPOST_TESTS_FUZZ_H
#define OUTPOST_TESTS_FUZZ_H

#include "outpost/rpc_bytes.h"

#include <stdio.h>
#include <stdlib.h>

enum { FUZZ_INPUT_BYTES_MAX = 256 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Appends the seed of that index; false: there are no more. */
bool fuzz_seed(unsigned index, struct rpc_buffer *out);

/* What must hold whatever came. */
static inline void fuzz_must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz: does not hold: %s\n", what);
    abort();
}

#endif
