/* SPDX-License-Identifier: Apache-2.0
 *
 * What a process on this machine uses, from /proc.
 */
#ifndef OUTPOST_LOAD_PROCESS_H
#define OUTPOST_LOAD_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_sample {
    bool known;
    int64_t at_us;
    double cpu_s;
    uint64_t resident_bytes;
    uint64_t peak_bytes;
};

/* pid 0: not known, and all zeros. */
struct process_sample process_sample(pid_t pid, int64_t now_us);

/* How many processes of this machine ran or wanted to, on average over the last minute. */
double process_machine_load(void);

/* Cores used between two samples; 0 when either is not known. */
double process_cores(const struct process_sample *from, const struct process_sample *to);

#endif
