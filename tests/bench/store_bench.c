/* SPDX-License-Identifier: Apache-2.0
 *
 * Figures of the store alone, without a network: pushes of many streams and the first
 * sync of one device, on the SQLite engine or, when OUTPOST_TEST_POSTGRES names a
 * database, on PostgreSQL, beside what that database does by itself with the same rows
 * in the same run. These are measurements, not tests.
 *
 *     store_bench [MUTATIONS]       of each run; 100,000 when not said
 *
 * A push holds PUSH_MUTATIONS mutations, one patient to four readings; every stream has
 * PUSHES_IN_FLIGHT of them waiting. What the loop's thread does before (parsing, ids) is
 * not measured.
 */
#include "made_records.h"
#include "store_reference.h"
#include "test_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    REGIONS = 64,
    STREAMS_MAX = 32,
    PUSH_MUTATIONS = 500,
    FAMILY = 5, /* a patient and its readings */
    PUSHES_IN_FLIGHT = 4,
    PAGE_ROWS = 2000,
    /* Of reads, each beside its references: the middle one counts, as the machine may have
     * other things to do. */
    ROUNDS = 9,
};

static struct made_records made[REGIONS];
static struct store *store;

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "store_bench: %s\n", what);
    exit(EXIT_FAILURE);
}

/* ---- Pushes -------------------------------------------------------------------- */

struct stream {
    struct store_push *pushes; /* its own, in their order */
    size_t count, submitted, done;
};

struct run {
    size_t stream_count, region_count;
    struct stream streams[STREAMS_MAX];
    size_t mutations;
};

static void submit_next(struct stream *stream)
{
    if (stream->submitted < stream->count)
        store_submit(store, &stream->pushes[stream->submitted++].request);
}

static void on_done(struct store_request *request)
{
    struct stream *stream = request->owner;

    check(rpc_ok(&request->status), request->status.message);
    stream->done++;
    submit_next(stream);
}

static void make_push(struct run *run, size_t stream, size_t n, uint32_t *patient)
{
    size_t region = (stream + n * run->stream_count) % run->region_count;
    struct store_push *push = &run->streams[stream].pushes[n];
    struct push_batch *batch = made_batch(&made[region], (uint8_t)(stream + 1));

    check(batch != NULL, "out of memory");
    for (uint32_t i = 0; i < PUSH_MUTATIONS / FAMILY; i++, ++*patient) {
        check(made_add_patient(&made[region], batch, *patient), "out of memory");
        for (uint32_t r = 1; r < FAMILY; r++)
            check(made_add_reading(&made[region], batch, *patient, *patient * FAMILY + r),
                  "out of memory");
    }
    *push = (struct store_push){
        .request = {.kind = STORE_PUSH, .done = on_done, .owner = &run->streams[stream]},
        .batch = batch,
        .region_id = made[region].region_id,
    };
    run->mutations += PUSH_MUTATIONS;
}

static void make_pushes(struct run *run, size_t mutations)
{
    size_t each = mutations / PUSH_MUTATIONS / run->stream_count;
    uint32_t patient = 0;

    for (size_t s = 0; s < run->stream_count; s++) {
        run->streams[s].count = each > 0 ? each : 1;
        run->streams[s].pushes = calloc(run->streams[s].count, sizeof(struct store_push));
        check(run->streams[s].pushes != NULL, "out of memory");
        for (size_t n = 0; n < run->streams[s].count; n++)
            make_push(run, s, n, &patient);
    }
}

static bool all_done(const struct run *run)
{
    for (size_t s = 0; s < run->stream_count; s++)
        if (run->streams[s].done < run->streams[s].count)
            return false;
    return true;
}

static void free_pushes(struct run *run)
{
    for (size_t s = 0; s < run->stream_count; s++) {
        for (size_t n = 0; n < run->streams[s].count; n++) {
            const struct push_batch *batch = run->streams[s].pushes[n].batch;
            check(made_answers(batch, PUSH_APPLIED) == PUSH_MUTATIONS, "not all were applied");
            push_batch_free(run->streams[s].pushes[n].batch);
        }
        free(run->streams[s].pushes);
    }
}

static double push_all(struct run *run)
{
    double started = now_s();

    for (size_t s = 0; s < run->stream_count; s++)
        for (int i = 0; i < PUSHES_IN_FLIGHT; i++)
            submit_next(&run->streams[s]);
    while (!all_done(run)) {
        store->engine->wait(store);
        store_drain(store);
    }
    return now_s() - started;
}

/* ---- Reads --------------------------------------------------------------------- */

/* A first sync's pages of one region. */
static double read_all(const struct record_uuid *region, uint64_t *rows_out)
{
    struct record_key after = {.type = 0};
    bool at_end = false;
    double started = now_s();

    *rows_out = 0;
    while (!at_end) {
        struct store_page page = {.request = {.kind = STORE_PAGE},
                                  .region_id = *region,
                                  .part = STORE_REST,
                                  .after = after,
                                  .rows_max = PAGE_ROWS};
        struct rpc_status status = store_run(store, &page.request);
        check(rpc_ok(&status), status.message);
        *rows_out += page.row_count;
        at_end = page.at_end;
        if (page.row_count > 0)
            after = page.rows[page.row_count - 1].key;
        store_page_deinit(&page);
    }
    return now_s() - started;
}

/* ---- One store ------------------------------------------------------------------- */

static void begin(void)
{
    struct store_options options = {.roles = made[0].roles};
    struct rpc_status status = test_store_open(&options, &store);

    check(rpc_ok(&status), status.message);
    for (size_t i = 0; i < REGIONS; i++) {
        struct push_batch *batch = made_batch(&made[i], 0);
        struct store_push push = {.request = {.kind = STORE_PUSH}, .batch = batch};
        check(batch != NULL && made_add_facility(&made[i], batch), "out of memory");
        status = store_run(store, &push.request);
        check(rpc_ok(&status) && made_answers(batch, PUSH_APPLIED) == 1, "a facility is refused");
        push_batch_free(batch);
    }
}

static void measure_pushes(size_t streams, size_t regions, size_t mutations)
{
    struct run run = {.stream_count = streams, .region_count = regions};

    begin();
    make_pushes(&run, mutations);
    double rate = (double)run.mutations / push_all(&run);
    free_pushes(&run);
    printf("push   %2zu streams, %2zu regions  %9.0f mutations/s", streams, regions, rate);
    if (!test_store_is_sqlite()) {
        double copy = (double)run.mutations / store_reference_copy_in(test_store_place());
        printf("   COPY of the same rows %9.0f/s   ratio %.2f", copy, rate / copy);
    }
    printf("\n");
    store_close(store);
    test_store_remove();
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double middle(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof values[0], by_value);
    return values[ROUNDS / 2];
}

static void measure_reads(size_t mutations)
{
    struct run run = {.stream_count = 1, .region_count = 1};
    char region[RECORD_UUID_TEXT_LEN + 1];
    uint64_t rows;
    double own[ROUNDS], keyset[ROUNDS], copy[ROUNDS];

    begin();
    make_pushes(&run, mutations);
    push_all(&run);
    free_pushes(&run);
    record_uuid_format(&made[0].region_id, region);
    (void)read_all(&made[0].region_id, &rows); /* the caches are warm for all that follow */
    for (int i = 0; i < ROUNDS; i++) {
        own[i] = (double)rows / read_all(&made[0].region_id, &rows);
        if (test_store_is_sqlite())
            continue;
        keyset[i] = (double)rows / store_reference_keyset(test_store_place(), region, PAGE_ROWS);
        copy[i] = (double)rows / store_reference_copy_out(test_store_place(), region);
    }
    double rate = middle(own);
    printf("first sync, pages of %d      %9.0f records/s  ", PAGE_ROWS, rate);
    if (!test_store_is_sqlite())
        printf("   keyset %9.0f/s  ratio %.2f   COPY TO STDOUT %9.0f/s  ratio %.2f", middle(keyset),
               rate / middle(keyset), middle(copy), rate / middle(copy));
    printf("\n");
    store_close(store);
    test_store_remove();
}

int main(int argc, char **argv)
{
    static const size_t streams[] = {1, 8, 32};
    size_t mutations = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < REGIONS; i++)
        check(made_init(&made[i], (uint8_t)(i + 1), (uint8_t)(i + 101)), "out of memory");
    printf("%s, %zu mutations a run\n", test_store_is_sqlite() ? "SQLite" : "PostgreSQL",
           mutations);
    for (size_t regions = 1; regions <= REGIONS; regions *= REGIONS)
        for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++)
            measure_pushes(streams[i], regions, mutations);
    measure_reads(mutations);
    for (size_t i = 0; i < REGIONS; i++)
        made_deinit(&made[i]);
    return EXIT_SUCCESS;
}
