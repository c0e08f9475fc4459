# SPDX-License-Identifier: Apache-2.0
outpost_unit_test(merge outpost_server)
outpost_unit_test(server_health outpost_server outpost_grpc_made)
outpost_unit_test(settings outpost_server)
outpost_unit_test(store outpost_server)
