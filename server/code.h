/* SPDX-License-Identifier: Apache-2.0
 *
 * One-time enrolment codes: 20 letters and digits in groups of four,
 * Crockford's base 32 (no I, L, O, U). The first four select the code, so that
 * wrong tries can be counted; the other 16 are 80 random bits, of which the
 * store keeps a hash alone.
 */
#ifndef OUTPOST_SERVER_CODE_H
#define OUTPOST_SERVER_CODE_H

#include "store.h"

enum {
    CODE_SYMBOLS = 20,
    CODE_TEXT_LEN = CODE_SYMBOLS + CODE_SYMBOLS / 4 - 1,
    CODE_VALID_MS = 15 * 60 * 1000,
};

struct code {
    char selector[STORE_CODE_SELECTOR_LEN];
    uint8_t secret_hash[STORE_CODE_HASH_LEN];
};

/* Makes a code from random bytes, one per symbol; writes its text and a NUL. */
struct code code_make(const uint8_t random[CODE_SYMBOLS], struct record_hasher *hasher,
                      char text_out[CODE_TEXT_LEN + 1]);

/* Reads what a person typed: case, spaces and hyphens do not matter, O is 0,
 * I and L are 1. False: not a code. */
bool code_parse(const char *text, struct record_hasher *hasher, struct code *code_out);

#endif
