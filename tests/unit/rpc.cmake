# SPDX-License-Identifier: Apache-2.0
outpost_unit_test(rpc_loopback outpost_rpc)
