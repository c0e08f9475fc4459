/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "outpost/v1/schema.gen.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* argument: NULL: none. */
static const struct {
    const char *name, *argument, *help;
} table[] = {
    {"spawn", NULL, "start an outpostd of its own, set up for the run"},
    {"outpostd", "FILE", "that outpostd (beside this program)"},
    {"data", "DIR", "its data folder, which must be new; its log is DIR.log (a temporary one)"},
    {"store", "URI", "its store, as for outpostd init (SQLite)"},
    {"server", "HOST:PORT", "or aim at this server, with:"},
    {"ca", "FILE", "its CA certificate (DIR/ca.pem there)"},
    {"codes", "FILE", "a one-time code a line: outpostd enrol --count N; a device each"},
    {"profile", "NAME", "constant, ramp, step, spike, soak or idle (constant)"},
    {"rate", "N", "arrivals a second (50; idle: 1)"},
    {"peak", "N", "the rate that ramp, step and spike reach (4 times the rate)"},
    {"steps", "N", "how many step takes (5)"},
    {"seconds", "N", "how long (30; soak: 3600)"},
    {"poisson", NULL, "arrivals at random moments, not evenly spaced"},
    {"closed", "N", "closed model: so many syncs at once, each followed by another"},
    {"mix", "LIST", "shares of work (reading=60,edit=15,patient=8,move=2,first=2,nothing=13)"},
    {"seed", "N", "of everything that is drawn (1)"},
    {"drain", "SECONDS", "how long open work may take after the end (60)"},
    {"devices", "N", "virtual devices (500; idle: 10000)"},
    {"regions", "N", "sync regions (10)"},
    {"facilities", "N", "facilities in each (3)"},
    {"region-skew", "S", "sizes of regions follow 1/rank^S (0.8; idle: 0, all the same)"},
    {"records", "N", "the data set before the run, a patient to 4 readings (20000; idle: 5000)"},
    {"followers", "PERCENT", "devices that stay connected and follow (10; idle: 100)"},
    {"links", "LIST", "shares of networks, by name or KBIT:RTT_MS[:CUT_PERCENT] (lan=100)"},
    {"versions", "LIST", "shares of app versions, by schema revision (this one's)"},
    {"keep-connections", NULL, "devices keep their connection from sync to sync"},
    {"json", "FILE", "all figures as JSON"},
    {"html", "FILE", "all figures as one page, with plots"},
    {"title", "TEXT", "of the report"},
    {"baseline", "FILE", "compare with an earlier --json; exit 2 when worse"},
    {"threshold", "PERCENT", "by more than this (20)"},
    {"before-check", "COMMAND",
     "run by the shell before the final check, with OUTPOST_DATA and OUTPOST_PID"},
    {"schedule", NULL, "print the arrivals and do nothing else"},
    {"quiet", NULL, "no progress on the terminal"},
    {"help", NULL, "this"},
};

enum { OPTION_COUNT = sizeof table / sizeof *table };

void options_print_help(void)
{
    char links[400];

    printf("outpost-load: thousands of virtual devices against one server, and what they meet.\n\n"
           "  outpost-load --spawn [OPTION]...\n"
           "  outpost-load --server HOST:PORT --ca FILE --codes FILE [OPTION]...\n\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char left[48];
        snprintf(left, sizeof left, "--%s%s%s", table[i].name, table[i].argument != NULL ? " " : "",
                 table[i].argument != NULL ? table[i].argument : "");
        printf("  %-24s %s\n", left, table[i].help);
    }
    link_quality_list(links, sizeof links);
    printf("\nNetworks (kbit/s : round trip in ms : percent of connections that break):\n  %s\n"
           "Latency counts from when an arrival was meant to begin, whatever the server does.\n"
           "Exit codes: 0 all invariants hold, 1 one does not, 2 worse than the baseline,\n"
           "64 usage, 69 the server cannot be started, reached or set up, 74 a report cannot be "
           "written.\n",
           links);
}

/* ---- Values -------------------------------------------------------------------------- */

struct parsing {
    struct options *options;
    char *error;
    size_t size;
    bool rate_given, peak_given, seconds_given, devices_given, skew_given, followers_given,
        records_given, works_given;
};

static bool wrong(struct parsing *parsing, const char *name, const char *what)
{
    snprintf(parsing->error, parsing->size, "--%s %s: see outpost-load --help", name, what);
    return false;
}

static bool number(const char *text, double least, double most, double *value_out)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= least && value <= most))
        return false;
    *value_out = value;
    return true;
}

static bool take_number(struct parsing *parsing, const char *name, const char *text, double least,
                        double most, double *value_out)
{
    char what[96];

    if (number(text, least, most, value_out))
        return true;
    snprintf(what, sizeof what, "must be a number from %g to %g", least, most);
    return wrong(parsing, name, what);
}

static bool take_count(struct parsing *parsing, const char *name, const char *text, double least,
                       double most, uint32_t *value_out)
{
    double value;

    if (!take_number(parsing, name, text, least, most, &value))
        return false;
    *value_out = (uint32_t)value;
    return true;
}

/* Calls take for each NAME=SHARE of a list. */
static bool take_list(struct parsing *parsing, const char *name, const char *text,
                      bool (*take)(struct options *options, const char *name, size_t len,
                                   double share))
{
    double sum = 0;

    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        const char *equals = memchr(text, '=', len);
        char share_text[32];
        double share;
        size_t share_len = equals != NULL ? (size_t)(text + len - equals - 1) : 0;
        if (equals == NULL || share_len >= sizeof share_text)
            return wrong(parsing, name, "must be a list NAME=SHARE,NAME=SHARE");
        memcpy(share_text, equals + 1, share_len);
        share_text[share_len] = '\0';
        if (!number(share_text, 0, 1e9, &share))
            return wrong(parsing, name, "has a share that is not a number from 0 on");
        if (!take(parsing->options, text, (size_t)(equals - text), share))
            return wrong(parsing, name, "has a name that is not known, or too many");
        sum += share;
        text += len + (text[len] == ',');
    }
    return sum > 0 || wrong(parsing, name, "must have a share above 0");
}

static bool take_work(struct options *options, const char *name, size_t len, double share)
{
    enum work work;

    if (!work_parse(name, len, &work))
        return false;
    options->works[work] = share;
    return true;
}

static bool add_share(struct option_shares *shares, double share)
{
    if (shares->count == MEASURE_GROUPS_MAX)
        return false;
    shares->shares[shares->count++] = share;
    return true;
}

static bool take_link(struct options *options, const char *name, size_t len, double share)
{
    struct link_quality quality;

    if (!link_quality_parse(name, len, &quality) || !add_share(&options->link_shares, share))
        return false;
    options->links[options->link_shares.count - 1] = quality;
    return true;
}

static bool take_version(struct options *options, const char *name, size_t len, double share)
{
    char text[12];
    double revision;

    if (len >= sizeof text)
        return false;
    memcpy(text, name, len);
    text[len] = '\0';
    if (!number(text, 0, 1e6, &revision) || !add_share(&options->version_shares, share))
        return false;
    struct app_version *version = &options->versions[options->version_shares.count - 1];
    version->revision = (uint32_t)revision;
    version->newer = version->revision > outpost_v1_schema.revision;
    snprintf(version->name, sizeof version->name, "load, revision %u", version->revision);
    return true;
}

/* ---- The line -------------------------------------------------------------------------- */

/* Texts, which are taken as they are. */
static const char **text_option(struct options *options, const char *name)
{
    const struct {
        const char *name;
        const char **text;
    } texts[] = {
        {"data", &options->data},         {"store", &options->store},
        {"server", &options->server},     {"ca", &options->ca},
        {"codes", &options->codes},       {"json", &options->json},
        {"html", &options->html},         {"title", &options->title},
        {"baseline", &options->baseline}, {"before-check", &options->before_check},
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(texts[i].name, name) == 0)
            return texts[i].text;
    return NULL;
}

static bool *flag_option(struct options *options, const char *name)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {
        {"spawn", &options->spawn},
        {"poisson", &options->poisson},
        {"keep-connections", &options->keep_connections},
        {"schedule", &options->print_schedule},
        {"quiet", &options->quiet},
        {"help", &options->help},
    };

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(flags[i].name, name) == 0)
            return flags[i].flag;
    return NULL;
}

static bool take_profile(struct parsing *parsing, const char *name, const char *text)
{
    struct profile *profile = &parsing->options->profile;
    uint32_t steps;
    double value;

    if (strcmp(name, "profile") == 0)
        return profile_parse(text, &profile->kind) ||
               wrong(parsing, name, "must be constant, ramp, step, spike, soak or idle");
    if (strcmp(name, "steps") == 0) {
        if (!take_count(parsing, name, text, 1, PROFILE_STEPS_MAX, &steps))
            return false;
        profile->steps = steps;
        return true;
    }
    if (strcmp(name, "seconds") == 0) {
        parsing->seconds_given = true;
        return take_number(parsing, name, text, .1, MEASURE_SECONDS_MAX, &profile->seconds);
    }
    if (!take_number(parsing, name, text, .001, 1e6, &value))
        return false;
    if (strcmp(name, "rate") == 0) {
        parsing->rate_given = true;
        profile->rate = value;
    } else {
        parsing->peak_given = true;
        profile->peak = value;
    }
    return true;
}

static bool take_fleet(struct parsing *parsing, const char *name, const char *text)
{
    struct options *options = parsing->options;
    double value;

    if (strcmp(name, "devices") == 0) {
        parsing->devices_given = true;
        return take_count(parsing, name, text, 1, FLEET_DEVICES_MAX, &options->devices);
    }
    if (strcmp(name, "regions") == 0)
        return take_count(parsing, name, text, 1, FLEET_REGIONS_MAX, &options->regions);
    if (strcmp(name, "facilities") == 0)
        return take_count(parsing, name, text, 1, FLEET_FACILITIES_MAX, &options->facilities);
    if (strcmp(name, "region-skew") == 0) {
        parsing->skew_given = true;
        return take_number(parsing, name, text, 0, 5, &options->region_skew);
    }
    if (strcmp(name, "followers") == 0) {
        parsing->followers_given = true;
        if (!take_number(parsing, name, text, 0, 100, &value))
            return false;
        options->followers = value / 100;
        return true;
    }
    if (strcmp(name, "links") == 0)
        return take_list(parsing, name, text, take_link);
    return take_list(parsing, name, text, take_version);
}

static bool take_value(struct parsing *parsing, const char *name, const char *text)
{
    static const char *const of_profile[] = {"profile", "rate", "peak", "steps", "seconds"};
    static const char *const of_fleet[] = {"devices",   "regions", "facilities", "region-skew",
                                           "followers", "links",   "versions"};
    struct options *options = parsing->options;
    double value;

    for (size_t i = 0; i < sizeof of_profile / sizeof *of_profile; i++)
        if (strcmp(of_profile[i], name) == 0)
            return take_profile(parsing, name, text);
    for (size_t i = 0; i < sizeof of_fleet / sizeof *of_fleet; i++)
        if (strcmp(of_fleet[i], name) == 0)
            return take_fleet(parsing, name, text);
    if (strcmp(name, "mix") == 0) {
        memset(options->works, 0, sizeof options->works);
        parsing->works_given = true;
        return take_list(parsing, name, text, take_work);
    }
    if (strcmp(name, "outpostd") == 0) {
        snprintf(options->outpostd, sizeof options->outpostd, "%s", text);
        return true;
    }
    if (strcmp(name, "closed") == 0)
        return take_count(parsing, name, text, 1, 10000, &options->closed);
    if (strcmp(name, "drain") == 0)
        return take_number(parsing, name, text, 0, 86400, &options->drain_seconds);
    if (!take_number(parsing, name, text, 0, 1e9, &value))
        return false;
    parsing->records_given = parsing->records_given || strcmp(name, "records") == 0;
    if (strcmp(name, "seed") == 0)
        options->seed = (uint64_t)value;
    else if (strcmp(name, "records") == 0)
        options->records = (uint64_t)value;
    else
        options->threshold = value / 100;
    return true;
}

/* ---- Defaults ---------------------------------------------------------------------------- */

static void init_default(struct options *options)
{
    ssize_t len = readlink("/proc/self/exe", options->outpostd, sizeof options->outpostd - 16);

    options->profile = (struct profile){.rate = 50, .seconds = 30, .steps = 5};
    options->seed = 1;
    options->drain_seconds = 60;
    options->devices = 500;
    options->regions = 10;
    options->facilities = 3;
    options->region_skew = .8;
    options->records = 20000;
    options->followers = .1;
    options->threshold = .2;
    options->works[WORK_READING] = 60;
    options->works[WORK_EDIT] = 15;
    options->works[WORK_PATIENT] = 8;
    options->works[WORK_MOVE] = 2;
    options->works[WORK_FIRST] = 2;
    options->works[WORK_NOTHING] = 13;
    options->outpostd[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(options->outpostd, '/');
    strcpy(slash != NULL ? slash + 1 : options->outpostd, "outpostd");
}

/* What a profile means when nothing else was said. */
static void finish(struct parsing *parsing)
{
    struct options *options = parsing->options;
    struct profile *profile = &options->profile;

    if (profile->kind == PROFILE_SOAK && !parsing->seconds_given)
        profile->seconds = 3600;
    if (profile->kind == PROFILE_IDLE) {
        profile->rate = parsing->rate_given ? profile->rate : 1;
        options->devices = parsing->devices_given ? options->devices : 10000;
        options->region_skew = parsing->skew_given ? options->region_skew : 0;
        options->records = parsing->records_given ? options->records : 5000;
        options->followers = parsing->followers_given ? options->followers : 1;
        if (!parsing->works_given) {
            memset(options->works, 0, sizeof options->works);
            options->works[WORK_READING] = 1;
        }
    }
    if (!parsing->peak_given)
        profile->peak = 4 * profile->rate;
    if (options->regions > options->devices)
        options->regions = options->devices;
    if (options->link_shares.count == 0)
        (void)take_link(options, "lan", 3, 1);
    if (options->version_shares.count == 0) {
        char revision[12];
        int len = snprintf(revision, sizeof revision, "%u", outpost_v1_schema.revision);
        (void)take_version(options, revision, (size_t)len, 1);
    }
    profile_make(profile);
}

static bool is_complete(struct parsing *parsing)
{
    const struct options *options = parsing->options;

    if (options->help || options->print_schedule)
        return true;
    if (options->spawn && options->server != NULL)
        return wrong(parsing, "spawn", "and --server exclude each other");
    if (!options->spawn && options->server == NULL)
        return wrong(parsing, "spawn", "or --server HOST:PORT is missing");
    if (!options->spawn && (options->ca == NULL || options->codes == NULL))
        return wrong(parsing, "server", "needs --ca FILE and --codes FILE");
    return true;
}

bool options_parse(struct options *options, int argc, char **argv, char *error, size_t size)
{
    struct option line[OPTION_COUNT + 1] = {{0}};
    struct parsing parsing = {.options = options, .error = error, .size = size};
    int at;

    for (size_t i = 0; i < OPTION_COUNT; i++)
        line[i] = (struct option){table[i].name,
                                  table[i].argument != NULL ? required_argument : no_argument, NULL,
                                  (int)i + 256};
    *options = (struct options){0};
    init_default(options);
    while ((at = getopt_long(argc, argv, ":", line, NULL)) != -1) {
        if (at < 256) {
            snprintf(error, size, "%s %s: see outpost-load --help", argv[optind - 1],
                     at == ':' ? "needs a value" : "is not an option");
            return false;
        }
        const char *name = table[at - 256].name;
        bool *flag = flag_option(options, name);
        const char **text = text_option(options, name);
        if (flag != NULL)
            *flag = true;
        else if (text != NULL)
            *text = optarg;
        else if (!take_value(&parsing, name, optarg))
            return false;
    }
    if (optind < argc) {
        snprintf(error, size, "\"%s\" is one word too many: see outpost-load --help", argv[optind]);
        return false;
    }
    if (!is_complete(&parsing))
        return false;
    finish(&parsing);
    return true;
}
