/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever a client sends: no crash, and every call that was opened is closed once.
 */
#include "fuzz_conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    unsigned opened = 0, closed = 0;
    rpc_conn *server = fuzz_server(&opened, &closed);

    fuzz_feed(server, rpc_bytes_view(data, len));
    rpc_conn_free(server);
    fuzz_must(opened == closed, "each call closes once");
    return 0;
}

bool fuzz_seed(unsigned index, struct rpc_buffer *out)
{
    return fuzz_conversation(index, false, out);
}
