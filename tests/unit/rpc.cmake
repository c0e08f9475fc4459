# SPDX-License-Identifier: Apache-2.0
outpost_unit_test(rpc_status outpost_rpc)
outpost_unit_test(rpc_metadata outpost_rpc)
outpost_unit_test(rpc_framing outpost_rpc)
outpost_unit_test(rpc_compress outpost_rpc)
outpost_unit_test(rpc_tls outpost_rpc)
outpost_unit_test(rpc_loopback outpost_rpc)
outpost_unit_test(rpc_limits outpost_rpc)
outpost_unit_test(rpc_drivers outpost_rpc_uv Threads::Threads)
