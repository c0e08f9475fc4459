/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

static double number_at(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static void print_latency(const json_t *latency, const char *name, FILE *out)
{
    if (number_at(latency, "count") == 0)
        return;
    fprintf(out, "  %-34s %9.0f %9.1f %9.1f %9.1f %9.1f %9.1f\n", name, number_at(latency, "count"),
            number_at(latency, "p50_ms"), number_at(latency, "p90_ms"),
            number_at(latency, "p99_ms"), number_at(latency, "p999_ms"),
            number_at(latency, "greatest_ms"));
}

static void print_counts(const json_t *counts, FILE *out)
{
    const char *name;
    json_t *value;

    json_object_foreach(json_object_get(counts, "errors"), name, value)
        fprintf(out, "  %lld calls ended with %s\n", (long long)json_integer_value(value), name);
    if (number_at(counts, "unfinished") > 0)
        fprintf(out, "  %.0f arrivals were not done in the end\n", number_at(counts, "unfinished"));
}

static void print_figures(const json_t *figures, FILE *out)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)figures, name, value)
        fprintf(out, "  %-34s %9.2f\n", name, json_number_value(value));
}

static void print_invariants(const json_t *invariants, FILE *out)
{
    size_t i;
    json_t *one;

    json_array_foreach(invariants, i, one) fprintf(
        out, "  %-6s %s (%s)\n", json_is_true(json_object_get(one, "holds")) ? "holds" : "BROKEN",
        json_string_value(json_object_get(one, "name")),
        json_string_value(json_object_get(one, "detail")));
}

void report_print(const json_t *report, FILE *out)
{
    const json_t *freshness = json_object_get(report, "freshness");
    const json_t *machine = json_object_get(report, "machine");
    const char *work;
    json_t *latency;

    fprintf(out, "\n  %-34s %9s %9s %9s %9s %9s %9s\n", "ms", "count", "p50", "p90", "p99", "p99.9",
            "greatest");
    print_latency(json_object_get(report, "latency"), "latency from the intended start", out);
    print_latency(json_object_get(report, "service"), "latency from the call", out);
    json_object_foreach(json_object_get(report, "works"), work, latency)
        print_latency(latency, work, out);
    print_latency(json_object_get(machine, "begun_late"), "begun late, by the harness", out);
    print_latency(json_object_get(freshness, "followers"), "fresh for followers", out);
    print_latency(json_object_get(freshness, "next_sync"), "fresh at the next sync", out);
    print_latency(json_object_get(freshness, "reach"), "until the last follower has it", out);
    fprintf(out, "\n");
    print_figures(json_object_get(report, "figures"), out);
    fprintf(out, "  %-34s %9.2f\n", "load average, this machine",
            number_at(machine, "load_average_after"));
    print_counts(json_object_get(report, "counts"), out);
    fprintf(out, "\n");
    print_invariants(json_object_get(report, "invariants"), out);
}
