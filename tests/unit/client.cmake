# SPDX-License-Identifier: Apache-2.0
outpost_unit_test(synthea_csv outpost_synthea)
