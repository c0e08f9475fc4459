/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: whatever byte of its talk with the database a push is cut at, the reply to its
 * COMMIT above all, no mutation is lost or applied twice (I1, I2). Method: a real
 * database behind a relay. First the bytes of one push are counted, in both
 * directions; then a new push is cut at each of them.
 *
 *     first   the connection that a push is on is cut at byte n. The engine makes the
 *             transaction once more on a new connection: the push must be answered OK.
 *     second  it is cut at once, and the new connection at its byte n: opening,
 *             preparing and the push again. Now the push may be answered UNAVAILABLE;
 *             it is submitted again, as a device would send it again.
 *
 * After each push the region's head must be at exactly the mutations made so far; at
 * the end every mutation is in the log once. cut_test.py runs outpostd verify then.
 *
 *     cut_test CONNINFO-URI PORT [STRIDE]       every STRIDEth byte, and the last 64
 */
#include "cut_relay.h"
#include "made_records.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LAST_BYTES = 64, /* with the reply to COMMIT among them */
    /* Times that a push is submitted until it must have got through. */
    SUBMITS_MAX = 20,
    MUTATIONS = 2, /* of one push */
    /* The engine's, one for each of its threads. */
    CONNECTIONS = 8,
    WARM_PUSHES_MAX = 20000,
};

static struct made_records made;
static struct cut_relay *relay;
static struct store *store;
static uint32_t push_count;

static void fail(const char *what, const struct cut_plan *plan, const char *detail)
{
    fprintf(stderr, "cut_test: %s (push %u", what, push_count);
    for (size_t i = 0; plan != NULL && i < plan->count; i++)
        fprintf(stderr, ", cut %zu %s after %llu bytes", i,
                plan->cuts[i].direction == CUT_TO_STORE ? "to the store" : "to the database",
                (unsigned long long)plan->cuts[i].after);
    fprintf(stderr, "): %s\n", detail);
    exit(EXIT_FAILURE);
}

static struct rpc_status submit(struct push_batch *batch)
{
    struct store_push request = {
        .request = {.kind = STORE_PUSH}, .batch = batch, .region_id = made.region_id};

    return store_run(store, &request.request);
}

static void check_head(const struct cut_plan *plan)
{
    struct store_heads heads = {
        .request = {.kind = STORE_HEADS}, .region_count = 1, .regions = &made.region_id};
    struct rpc_status status = store_run(store, &heads.request);
    uint64_t expected = (uint64_t)push_count * MUTATIONS;

    if (!rpc_ok(&status))
        fail("the head cannot be read", plan, status.message);
    if (heads.heads[0].last.seq != expected || heads.heads[0].records != expected)
        fail("a mutation is lost or doubled", plan, "the region's head is elsewhere");
    store_heads_deinit(&heads);
}

/* A new patient with a reading, pushed under the plan, until it is through. */
static struct cut_report push_under(const struct cut_plan *plan)
{
    struct push_batch *batch = made_batch(&made, 1);
    uint32_t n = push_count++;
    bool retried = plan->count > 1;

    if (batch == NULL || !made_add_patient(&made, batch, n) ||
        !made_add_reading(&made, batch, n, n))
        fail("no memory", plan, "a batch");
    cut_relay_plan(relay, plan);
    struct rpc_status status = submit(batch);
    struct cut_report report = cut_relay_report(relay);
    for (int tries = 1; !rpc_ok(&status); tries++) {
        if (!retried || status.code != RPC_UNAVAILABLE || tries == SUBMITS_MAX)
            fail("the push is refused", plan, status.message);
        status = submit(batch);
    }
    if (made_answers(batch, PUSH_APPLIED) + made_answers(batch, PUSH_NO_EFFECT) != MUTATIONS)
        fail("the push is answered wrongly", plan, "neither applied nor known");
    push_batch_free(batch);
    check_head(plan);
    return report;
}

/* ---- The sweep ------------------------------------------------------------------ */

/* Bytes in both directions of the last cut of a plan that cuts nowhere there. */
static struct cut_report measure(size_t cuts)
{
    struct cut_plan plan = {.count = cuts};

    plan.cuts[cuts - 1].after = UINT64_MAX;
    struct cut_report report = push_under(&plan);
    printf("%s connection: %llu bytes to the database, %llu to the store\n",
           cuts == 1 ? "first" : "second", (unsigned long long)report.passed[CUT_TO_DATABASE],
           (unsigned long long)report.passed[CUT_TO_STORE]);
    return report;
}

static unsigned sweep(size_t cuts, enum cut_direction direction, uint64_t bytes, uint64_t stride)
{
    unsigned done = 0;

    for (uint64_t n = 0; n < bytes; n += n + LAST_BYTES < bytes ? stride : 1) {
        struct cut_plan plan = {.count = cuts};
        plan.cuts[cuts - 1] = (struct cut){direction, n};
        done += push_under(&plan).done == cuts;
    }
    return done;
}

static void check_log(void)
{
    uint64_t seq = 0, expected = (uint64_t)push_count * MUTATIONS;
    uint32_t *seen = calloc((size_t)push_count + 1, sizeof *seen);
    size_t count;

    if (seen == NULL)
        fail("no memory", NULL, "the log");
    do {
        struct store_log_list list = {
            .request = {.kind = STORE_LOG_LIST}, .region_id = made.region_id, .after_seq = seq};
        struct rpc_status status = store_run(store, &list.request);
        if (!rpc_ok(&status))
            fail("the log cannot be read", NULL, status.message);
        count = list.entry_count;
        for (size_t i = 0; i < count; i++) {
            const uint8_t *id = list.entries[i].entry.key.family.bytes;
            uint32_t n = (uint32_t)id[2] << 16 | (uint32_t)id[3] << 8 | id[4];
            if (list.entries[i].entry.seq != ++seq || n >= push_count || ++seen[n] > MUTATIONS ||
                list.entries[i].entry.version != 1)
                fail("the log is not that of these pushes", NULL, "see its entries");
        }
        arena_deinit(&list.arena);
    } while (count == STORE_LIST_ROWS_MAX);
    free(seen);
    if (seq != expected)
        fail("the log has not every mutation once", NULL, "its length");
}

static void open_store(const char *conninfo, const char *port)
{
    char text[2048];
    struct store_options options = {.roles = made.roles};

    relay = cut_relay_new((uint16_t)atoi(port));
    if (relay == NULL)
        fail("no relay", NULL, "a socket");
    snprintf(text, sizeof text, "%s&port=%u", conninfo, cut_relay_port(relay));
    struct rpc_status status = store_postgres_open(text, &options, &store);
    if (!rpc_ok(&status))
        fail("the store does not open", NULL, status.message);
    struct push_batch *batch = made_batch(&made, 0);
    if (batch == NULL || !made_add_facility(&made, batch))
        fail("no memory", NULL, "a batch");
    status = submit(batch);
    if (!rpc_ok(&status))
        fail("the facility is refused", NULL, status.message);
    push_batch_free(batch);
}

/* Until every thread has its connection: one that opens while a push is made would be
 * the one that is cut. */
static void warm_up(void)
{
    static const struct cut_plan none = {0};

    while (cut_relay_open_count(relay) < CONNECTIONS) {
        if (push_count == WARM_PUSHES_MAX)
            fail("the engine has too few connections", NULL, "after as many pushes");
        push_under(&none);
    }
    printf("%u pushes until there were %d connections\n", push_count, CONNECTIONS);
}

int main(int argc, char **argv)
{
    uint64_t stride = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    unsigned done = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 3 || stride == 0 || !made_init(&made, 7, 8))
        return EXIT_FAILURE;
    open_store(argv[1], argv[2]);
    warm_up();
    for (size_t cuts = 1; cuts <= CUTS_MAX; cuts++) {
        struct cut_report report = measure(cuts);
        for (int d = 0; d < CUT_DIRECTIONS; d++)
            done += sweep(cuts, (enum cut_direction)d, report.passed[d], stride);
    }
    check_log();
    store_close(store);
    cut_relay_free(relay);
    made_deinit(&made);
    printf("%u pushes, %u cut, 0 mutations lost or doubled\n", push_count, done);
    return EXIT_SUCCESS;
}
