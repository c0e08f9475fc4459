/* SPDX-License-Identifier: Apache-2.0 */
#include "interop_flags.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* X(name, kind, meaning) */
#define FLAGS(X)                                                                            \
    X(port, TEXT, "server: the port to listen on")                                          \
    X(server_host, TEXT, "client: the server's name or address")                            \
    X(server_port, TEXT, "client: the server's port")                                       \
    X(server_host_override, TEXT, "client: the name that the server must prove to have")    \
    X(use_tls, TRUTH, "TLS or plain text")                                                  \
    X(use_test_ca, TRUTH, "client: trust --ca_file alone, not the system's CAs")            \
    X(ca_file, TEXT, "client: the CA of the server's certificate, PEM")                     \
    X(tls_cert_file, TEXT, "server: certificate and chain, PEM")                            \
    X(tls_key_file, TEXT, "server: the certificate's key, PEM")                             \
    X(test_case, TEXT, "client: the case to run; \"all\" runs all quick ones")              \
    X(soak_iterations, NUMBER, "soak cases: calls to make")                                 \
    X(soak_max_failures, NUMBER, "soak cases: calls that may fail")                         \
    X(soak_per_iteration_max_acceptable_latency_ms, NUMBER, "soak cases: slower is failed") \
    X(soak_overall_timeout_seconds, NUMBER, "soak cases: stop then")                        \
    X(soak_min_time_ms_between_rpcs, NUMBER, "soak cases: from one start to the next")

enum kind { TEXT, TRUTH, NUMBER };

static const struct flag {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *meaning;
} table[] = {
#define X(name, kind, meaning) {#name, kind, offsetof(struct interop_flags, name), meaning},
    FLAGS(X)
#undef X
};

enum { FLAG_COUNT = sizeof table / sizeof table[0] };

static void print_help(FILE *file, const char *program)
{
    fprintf(file, "usage: %s [--flag=value ...]\n", program);
    for (size_t i = 0; i < FLAG_COUNT; i++)
        fprintf(file, "  --%-46s %s\n", table[i].name, table[i].meaning);
}

static _Noreturn void fail(const char *program, const char *argument, const char *what)
{
    fprintf(stderr, "%s: %s: %s; see --help\n", program, argument, what);
    exit(64);
}

/* The flag named by the argument; *value_out is NULL without "=". */
static const struct flag *find_flag(const char *argument, const char **value_out)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        size_t len = strlen(table[i].name);
        if (strncmp(argument, "--", 2) != 0 || strncmp(argument + 2, table[i].name, len) != 0)
            continue;
        if (argument[2 + len] != '\0' && argument[2 + len] != '=')
            continue;
        *value_out = argument[2 + len] == '=' ? argument + 3 + len : NULL;
        return &table[i];
    }
    return NULL;
}

static bool is_truth(const char *text)
{
    return text != NULL && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0);
}

static bool set(struct interop_flags *flags, const struct flag *flag, const char *value)
{
    char *member = (char *)flags + flag->offset;
    char *end = NULL;

    if (flag->kind == TEXT) {
        memcpy(member, &value, sizeof value);
    } else if (flag->kind == TRUTH) {
        bool truth = strcmp(value, "true") == 0;
        memcpy(member, &truth, sizeof truth);
        return is_truth(value);
    } else {
        errno = 0;
        unsigned long number = strtoul(value, &end, 10);
        unsigned kept = (unsigned)number;
        memcpy(member, &kept, sizeof kept);
        return value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0 && kept == number;
    }
    return true;
}

struct interop_flags interop_flags_parse(int argc, char **argv)
{
    struct interop_flags flags = {
        .port = "0",
        .server_host = "localhost",
        .server_port = "0",
        .test_case = "large_unary",
        .soak_iterations = 1000,
        .soak_per_iteration_max_acceptable_latency_ms = 1000,
        .soak_overall_timeout_seconds = 10,
    };

    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        const struct flag *flag = find_flag(argv[i], &value);

        if (strcmp(argv[i], "--help") == 0) {
            print_help(stdout, argv[0]);
            exit(EXIT_SUCCESS);
        }
        if (flag == NULL)
            fail(argv[0], argv[i], "no such flag");
        bool next_is_value = value == NULL && i + 1 < argc && argv[i + 1] != NULL &&
                             (flag->kind != TRUTH || is_truth(argv[i + 1]));
        if (next_is_value)
            value = argv[++i];
        else if (value == NULL && flag->kind == TRUTH)
            value = "true";
        if (value == NULL)
            fail(argv[0], argv[i], "needs a value");
        if (!set(&flags, flag, value))
            fail(argv[0], argv[i], flag->kind == TRUTH ? "needs true or false" : "needs a number");
    }
    return flags;
}
