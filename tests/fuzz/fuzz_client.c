/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever a server sends: no crash, and every call ends once.
 */
#include "fuzz_conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    unsigned closed = 0;
    rpc_conn *client = fuzz_client(&closed);
    unsigned begun = 1;

    for (unsigned i = 0; i < 4; i++)
        begun += fuzz_call(client, i, &closed) != NULL;
    rpc_conn_sent(client, rpc_conn_pending(client).len);
    fuzz_feed(client, rpc_bytes_view(data, len));
    rpc_conn_free(client);
    fuzz_must(begun == closed, "each call ends once");
    return 0;
}

bool fuzz_seed(unsigned index, struct rpc_buffer *out)
{
    return fuzz_conversation(index, true, out);
}
