/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line of outpost-load.
 */
#ifndef OUTPOST_LOAD_OPTIONS_H
#define OUTPOST_LOAD_OPTIONS_H

#include "fleet.h"

#include <limits.h>

/* What a name=share list names, and how much of all each has. */
struct option_shares {
    double shares[MEASURE_GROUPS_MAX];
    size_t count;
};

struct options {
    bool help;
    /* Where */
    bool spawn;
    char outpostd[PATH_MAX];
    const char *data, *store;
    const char *server, *ca, *codes;
    /* How much */
    struct profile profile;
    bool poisson;
    uint32_t closed; /* syncs at once; 0: the open model */
    double works[WORK_COUNT];
    uint64_t seed;
    double drain_seconds;
    /* Who */
    uint32_t devices, regions, facilities;
    double region_skew;
    uint64_t records;
    double followers; /* share, 0..1 */
    struct link_quality links[MEASURE_GROUPS_MAX];
    struct option_shares link_shares;
    struct app_version versions[MEASURE_GROUPS_MAX];
    struct option_shares version_shares;
    bool keep_connections;
    /* What comes of it */
    const char *json, *html, *title;
    const char *baseline;
    double threshold; /* a share: .2 is 20 % worse */
    const char *before_check;
    bool print_schedule;
    bool quiet;
};

/* False: *error_out is one line that says what is wrong. */
bool options_parse(struct options *options, int argc, char **argv, char *error, size_t size);
void options_print_help(void);

#endif
