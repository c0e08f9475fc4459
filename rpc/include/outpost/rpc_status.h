/* SPDX-License-Identifier: Apache-2.0
 *
 * gRPC status: the 17 codes and a message.
 *
 * The codes and what a caller should do about each are one table; a bare int
 * never travels. A message is for people: what was being done, to which id, and
 * what to do next; it never holds a field's value (I10).
 */
#ifndef OUTPOST_RPC_STATUS_H
#define OUTPOST_RPC_STATUS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, number, what a caller should do) */
#define RPC_CODES(X)                               \
    X(OK, 0, RPC_ADVICE_NONE)                      \
    X(CANCELLED, 1, RPC_ADVICE_NONE)               \
    X(UNKNOWN, 2, RPC_ADVICE_REPORT)               \
    X(INVALID_ARGUMENT, 3, RPC_ADVICE_REPORT)      \
    X(DEADLINE_EXCEEDED, 4, RPC_ADVICE_TRY_LATER)  \
    X(NOT_FOUND, 5, RPC_ADVICE_REPORT)             \
    X(ALREADY_EXISTS, 6, RPC_ADVICE_REPORT)        \
    X(PERMISSION_DENIED, 7, RPC_ADVICE_ASK)        \
    X(RESOURCE_EXHAUSTED, 8, RPC_ADVICE_TRY_LATER) \
    X(FAILED_PRECONDITION, 9, RPC_ADVICE_REPORT)   \
    X(ABORTED, 10, RPC_ADVICE_TRY_LATER)           \
    X(OUT_OF_RANGE, 11, RPC_ADVICE_REPORT)         \
    X(UNIMPLEMENTED, 12, RPC_ADVICE_REPORT)        \
    X(INTERNAL, 13, RPC_ADVICE_REPORT)             \
    X(UNAVAILABLE, 14, RPC_ADVICE_TRY_LATER)       \
    X(DATA_LOSS, 15, RPC_ADVICE_REPORT)            \
    X(UNAUTHENTICATED, 16, RPC_ADVICE_ENROL)

enum rpc_code {
#define X(name, number, advice) RPC_##name = number,
    RPC_CODES(X)
#undef X
};

enum rpc_advice {
    RPC_ADVICE_NONE,      /* nothing is wrong */
    RPC_ADVICE_TRY_LATER, /* with back-off */
    RPC_ADVICE_REPORT,    /* trying again gives the same; a bug or a version */
    RPC_ADVICE_ASK,       /* the administrator must allow it */
    RPC_ADVICE_ENROL,     /* show who you are */
};

enum { RPC_STATUS_MESSAGE_LEN = 256 };

struct rpc_status {
    enum rpc_code code;
    char message[RPC_STATUS_MESSAGE_LEN]; /* UTF-8, cut if longer, NUL-terminated */
};

static inline bool rpc_ok(const struct rpc_status *status)
{
    return status->code == RPC_OK;
}

#if defined(__GNUC__)
#define RPC_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define RPC_PRINTF(text, first)
#endif

struct rpc_status rpc_status_ok(void);
struct rpc_status rpc_status_make(enum rpc_code code, const char *format, ...) RPC_PRINTF(2, 3);

/* "UNAVAILABLE"; of a number that is no code "UNKNOWN". */
const char *rpc_code_name(enum rpc_code code);
enum rpc_advice rpc_code_advice(enum rpc_code code);

#ifdef __cplusplus
}
#endif

#endif
