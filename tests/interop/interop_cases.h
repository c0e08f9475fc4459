/* SPDX-License-Identifier: Apache-2.0
 *
 * The cases of gRPC's interop-test-descriptions.md, by their names there.
 */
#ifndef OUTPOST_TESTS_INTEROP_CASES_H
#define OUTPOST_TESTS_INTEROP_CASES_H

#include "interop_flags.h"
#include "outpost/rpc_channel.h"

struct interop_case {
    const char *name;
    bool slow; /* not in "all" */
    /* The channel is fresh; a case that needs more opens them itself. False,
     * after a line on standard error: the peer, or this runtime, failed it. */
    bool (*run)(rpc_channel *channel, const struct rpc_channel_options *options,
                const struct interop_flags *flags);
};

/* NULL: there is none of that name. */
const struct interop_case *interop_case_find(const char *name);
/* By number; NULL: no more. */
const struct interop_case *interop_case_at(size_t index);

/* Says what went wrong, when it did; returns passed. */
bool interop_check(bool passed, const char *what);

#endif
