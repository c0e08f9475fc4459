# SPDX-License-Identifier: Apache-2.0
# Writes OUTPUT, a C file with the bytes of INPUT as the span NAME.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "(................................)" "\\1\n    " hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
file(WRITE ${OUTPUT}
"#include \"outpost/rpc_bytes.h\"

extern const struct rpc_bytes ${NAME};

static const uint8_t bytes[] = {
    ${hex}
};

const struct rpc_bytes ${NAME} = {bytes, sizeof bytes};
")
