/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"

#include <stddef.h>
#include <string.h>

uint64_t token_count(const uint8_t token[TOKEN_LEN])
{
    uint64_t count = 0;

    for (size_t i = 0; i < sizeof count; i++)
        count = count << 8 | token[i];
    return count;
}

void token_set_count(uint8_t token[TOKEN_LEN], uint64_t count)
{
    for (size_t i = 0; i < sizeof count; i++)
        token[i] = (uint8_t)(count >> (56 - 8 * i));
}

bool token_is_good(const struct token_pair *tokens, const uint8_t presented[TOKEN_LEN])
{
    static const uint8_t none[TOKEN_LEN];

    return memcmp(presented, tokens->present, TOKEN_LEN) == 0 ||
           memcmp(presented, tokens->previous, TOKEN_LEN) == 0 ||
           memcmp(tokens->present, none, TOKEN_LEN) == 0 ||
           token_count(presented) > token_count(tokens->present);
}
