/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *open_of(pid_t pid, const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
    return fopen(path, "re");
}

/* Fields 14 and 15 of stat, counted behind the name, which may hold anything. */
static bool read_cpu(pid_t pid, double *cpu_s_out)
{
    char text[1024];
    unsigned long user, system;
    FILE *file = open_of(pid, "stat");
    size_t len = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;

    if (file != NULL)
        fclose(file);
    text[len] = '\0';
    const char *at = strrchr(text, ')');
    if (at == NULL ||
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return false;
    *cpu_s_out = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    return true;
}

static bool read_memory(pid_t pid, struct process_sample *sample)
{
    char line[256];
    FILE *file = open_of(pid, "status");
    int found = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        uint64_t kilobytes;
        if (sscanf(line, "VmRSS: %" SCNu64, &kilobytes) == 1) {
            sample->resident_bytes = kilobytes * 1024;
            found++;
        } else if (sscanf(line, "VmHWM: %" SCNu64, &kilobytes) == 1) {
            sample->peak_bytes = kilobytes * 1024;
            found++;
        }
    }
    if (file != NULL)
        fclose(file);
    return found == 2;
}

struct process_sample process_sample(pid_t pid, int64_t now_us)
{
    struct process_sample sample = {.at_us = now_us};

    sample.known = pid > 0 && read_cpu(pid, &sample.cpu_s) && read_memory(pid, &sample);
    return sample;
}

double process_machine_load(void)
{
    double load = 0;

    return getloadavg(&load, 1) == 1 ? load : 0;
}

double process_cores(const struct process_sample *from, const struct process_sample *to)
{
    if (!from->known || !to->known || to->at_us <= from->at_us)
        return 0;
    return (to->cpu_s - from->cpu_s) / ((double)(to->at_us - from->at_us) / 1e6);
}
