/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens tell a device from its copy (R23): CaughtUp renews the device's, Hello
 * presents it. One begins with a count, 8 bytes big-endian, that grows from one to
 * the next; the rest is random.
 */
#ifndef OUTPOST_SERVER_TOKEN_H
#define OUTPOST_SERVER_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

enum { TOKEN_LEN = 16 };

uint64_t token_count(const uint8_t token[TOKEN_LEN]);
void token_set_count(uint8_t token[TOKEN_LEN], uint64_t count);

/* The device's tokens as the server has them; all zeros: none given yet. */
struct token_pair {
    uint8_t present[TOKEN_LEN];
    uint8_t previous[TOKEN_LEN]; /* good too: CaughtUp with the present one may be lost */
};

/* False: another copy of the database that presents it has synced since. A token that
 * is newer than any that this server gave was given by it before it was restored. */
bool token_is_good(const struct token_pair *tokens, const uint8_t presented[TOKEN_LEN]);

#endif
