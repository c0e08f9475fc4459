# SPDX-License-Identifier: Apache-2.0
#
# The parts of the load harness that compute: what it says is only as good as they are.
outpost_unit_test(load_histogram load_harness)
outpost_unit_test(load_ledger load_harness)
outpost_unit_test(load_link load_harness)
outpost_unit_test(load_outbox load_harness)
outpost_unit_test(load_replica load_harness)
outpost_unit_test(load_schedule load_harness)
