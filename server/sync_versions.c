/* SPDX-License-Identifier: Apache-2.0
 *
 * outpost.v1 is the only version so far. The next one is a line here and a file with its
 * adapter; tests/schema/two_versions.c is how that looks.
 */
#include "sync_version.h"

const struct sync_version sync_versions[1] = {{0}};
const size_t sync_version_count = 0;
