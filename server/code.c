/* SPDX-License-Identifier: Apache-2.0 */
#include "code.h"

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static struct code code_of(const char symbols[CODE_SYMBOLS], struct record_hasher *hasher)
{
    static const char purpose[] = "outpost enrolment code";
    struct rpc_bytes parts[] = {rpc_bytes_view(purpose, sizeof purpose - 1),
                                rpc_bytes_view(symbols, CODE_SYMBOLS)};
    struct code code;

    memcpy(code.selector, symbols, sizeof code.selector);
    record_hash(hasher, parts, 2, code.secret_hash);
    return code;
}

struct code code_make(const uint8_t random[CODE_SYMBOLS], struct record_hasher *hasher,
                      char text_out[CODE_TEXT_LEN + 1])
{
    char symbols[CODE_SYMBOLS];

    for (size_t i = 0; i < CODE_SYMBOLS; i++) {
        symbols[i] = alphabet[random[i] % 32];
        if (i > 0 && i % 4 == 0)
            *text_out++ = '-';
        *text_out++ = symbols[i];
    }
    *text_out = '\0';
    return code_of(symbols, hasher);
}

static char symbol_of(char typed)
{
    if (typed >= 'a' && typed <= 'z')
        typed = (char)(typed - 'a' + 'A');
    if (typed == 'O')
        return '0';
    if (typed == 'I' || typed == 'L')
        return '1';
    return typed != '\0' && strchr(alphabet, typed) != NULL ? typed : '\0';
}

bool code_parse(const char *text, struct record_hasher *hasher, struct code *code_out)
{
    char symbols[CODE_SYMBOLS];
    size_t count = 0;

    for (; *text != '\0'; text++) {
        if (*text == ' ' || *text == '-')
            continue;
        char symbol = symbol_of(*text);
        if (symbol == '\0' || count == CODE_SYMBOLS)
            return false;
        symbols[count++] = symbol;
    }
    if (count != CODE_SYMBOLS)
        return false;
    *code_out = code_of(symbols, hasher);
    return true;
}
