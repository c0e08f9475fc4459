/* SPDX-License-Identifier: Apache-2.0
 *
 * schema-check: whether a contract breaks what was released before it.
 *
 *     schema-check BEFORE.binpb NOW.binpb     findings on standard output, a line each
 *     schema-check --rules                    the names of all rules
 *
 * Both files are descriptor sets: protoc --include_imports -o FILE. Exit code 0: nothing
 * found, 65: findings, or a file that is no set.
 */
#include "compare.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static int print_rules(void)
{
    for (int rule = 0; rule < FINDING_RULE_COUNT; rule++)
        puts(finding_name((enum finding_rule)rule));
    return EX_OK;
}

static int report(const struct comparison *comparison)
{
    if (comparison->unreadable != NULL) {
        fprintf(stderr,
                "schema-check: message %s has an annotation that this program does not know:"
                " build it anew, with the outpost/options.proto in use\n",
                comparison->unreadable);
        return EX_DATAERR;
    }
    if (comparison->findings.count > 0)
        fputs(comparison->findings.text.data, stdout);
    fprintf(stderr, "schema-check: %zu finding%s\n", comparison->findings.count,
            comparison->findings.count == 1 ? "" : "s");
    return comparison->findings.count == 0 ? EX_OK : EX_DATAERR;
}

int main(int argc, char **argv)
{
    struct output output = {0};
    struct contract before = {0}, now = {0};
    struct comparison comparison = {.before = &before, .now = &now, .output = &output};
    int code = EX_DATAERR;

    if (argc == 2 && strcmp(argv[1], "--rules") == 0)
        return print_rules();
    if (argc != 3) {
        fputs("usage: schema-check BEFORE.binpb NOW.binpb | --rules\n", stderr);
        return EX_USAGE;
    }
    if (contract_read(&before, argv[1], &output) && contract_read(&now, argv[2], &output)) {
        compare_contracts(&comparison);
        code = report(&comparison);
    }
    text_deinit(&comparison.findings.text);
    contract_free(&before);
    contract_free(&now);
    output_deinit(&output);
    return code;
}
