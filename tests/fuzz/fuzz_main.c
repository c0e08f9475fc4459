/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a fuzz target without libFuzzer: inputs are a target's seeds, changed a few
 * times at random, or spliced. The same seed gives the same inputs.
 *
 *     fuzz_TARGET [--runs N] [--seconds N] [--seed S] [FILE...]
 *
 * With files it runs those and nothing else. The input that is being tried is in
 * fuzz_TARGET.input when the target does not return. The last line says how many
 * were tried.
 */
#include "fuzz.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    SEEDS_MAX = 64,
    CHANGES_MAX = 12, /* of one input */
};

struct fuzz {
    uint64_t random;
    struct rpc_buffer seeds[SEEDS_MAX];
    unsigned seed_count;
    struct rpc_buffer input;
};

static uint64_t next(struct fuzz *fuzz)
{
    fuzz->random ^= fuzz->random << 13;
    fuzz->random ^= fuzz->random >> 7;
    fuzz->random ^= fuzz->random << 17;
    return fuzz->random;
}

static size_t below(struct fuzz *fuzz, size_t limit)
{
    return limit > 0 ? (size_t)(next(fuzz) % limit) : 0;
}

/* ---- Changes ----------------------------------------------------------------- */

static void overwrite(struct fuzz *fuzz)
{
    static const uint8_t telling[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff, 0x20, 0x0a};
    struct rpc_buffer *input = &fuzz->input;
    size_t count = 1 + below(fuzz, 4);

    for (size_t at = below(fuzz, input->len); count > 0 && at < input->len; at++, count--)
        input->data[at] =
            next(fuzz) % 2 == 0 ? telling[below(fuzz, sizeof telling)] : (uint8_t)next(fuzz);
}

static void flip(struct fuzz *fuzz)
{
    if (fuzz->input.len > 0)
        fuzz->input.data[below(fuzz, fuzz->input.len)] ^= (uint8_t)(1u << below(fuzz, 8));
}

static void cut(struct fuzz *fuzz)
{
    struct rpc_buffer *input = &fuzz->input;
    size_t at = below(fuzz, input->len);
    size_t len = 1 + below(fuzz, below(fuzz, 2) == 0 ? 8 : input->len);

    if (len > input->len - at)
        len = input->len - at;
    memmove(input->data + at, input->data + at + len, input->len - at - len);
    input->len -= len;
}

/* A piece of the input itself or of a seed, somewhere else in the input. */
static void insert(struct fuzz *fuzz)
{
    struct rpc_buffer *input = &fuzz->input;
    const struct rpc_buffer *from =
        below(fuzz, 2) == 0 ? input : &fuzz->seeds[below(fuzz, fuzz->seed_count)];
    uint8_t piece[4096];
    size_t start = below(fuzz, from->len);
    size_t len = 1 + below(fuzz, sizeof piece - 1);

    if (from->len == 0)
        return;
    if (len > from->len - start)
        len = from->len - start;
    memcpy(piece, from->data + start, len);
    size_t at = below(fuzz, input->len + 1);
    if (rpc_buffer_reserve(input, len) == NULL) {
        input->failed = false;
        return;
    }
    memmove(input->data + at + len, input->data + at, input->len - at);
    memcpy(input->data + at, piece, len);
    input->len += len;
}

static void make_input(struct fuzz *fuzz)
{
    static void (*const changes[])(struct fuzz * fuzz) = {overwrite, flip, flip, cut, insert};
    const struct rpc_buffer *seed = &fuzz->seeds[below(fuzz, fuzz->seed_count)];
    size_t count = below(fuzz, CHANGES_MAX);

    rpc_buffer_clear(&fuzz->input);
    rpc_buffer_append(&fuzz->input, seed->data, seed->len);
    for (size_t i = 0; i < count; i++)
        changes[below(fuzz, sizeof changes / sizeof changes[0])](fuzz);
}

/* ---- Runs ---------------------------------------------------------------------- */

/* In memory of its very length, so that a sanitizer sees any look beyond it. */
static void try_input(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);

    if (copy == NULL)
        abort();
    if (len > 0)
        memcpy(copy, data, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static FILE *kept_input;

static void keep_input(const struct rpc_buffer *input)
{
    if (kept_input == NULL)
        return;
    rewind(kept_input);
    fwrite(input->data, 1, input->len, kept_input);
    fflush(kept_input);
    if (ftruncate(fileno(kept_input), (off_t)input->len) != 0)
        perror("fuzz: cannot keep the input");
}

static void run_file(const char *path)
{
    static uint8_t data[FUZZ_INPUT_BYTES_MAX];
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        fprintf(stderr, "fuzz: cannot read %s: %s\n", path, strerror(errno));
        exit(64);
    }
    size_t len = fread(data, 1, sizeof data, file);
    fclose(file);
    try_input(data, len);
    printf("%s: %zu bytes tried\n", path, len);
}

static void load_seeds(struct fuzz *fuzz)
{
    while (fuzz->seed_count < SEEDS_MAX) {
        struct rpc_buffer *seed = &fuzz->seeds[fuzz->seed_count];
        rpc_buffer_init(seed, FUZZ_INPUT_BYTES_MAX);
        if (!fuzz_seed(fuzz->seed_count, seed))
            break;
        fuzz_must(!seed->failed, "a seed fits an input");
        fuzz->seed_count++;
    }
}

static unsigned long long number(const char *program, const char *name, const char *text)
{
    char *end = NULL;
    unsigned long long value = text != NULL ? strtoull(text, &end, 10) : 0;

    if (text == NULL || *text == '\0' || *end != '\0') {
        fprintf(stderr, "%s: %s needs a number\n", program, name);
        exit(64);
    }
    return value;
}

int main(int argc, char **argv)
{
    struct fuzz fuzz = {0};
    unsigned long long runs = 20000, seconds = 0, seed = 1, done = 0;
    char kept_name[256];
    time_t begun = time(NULL);
    int i = 1;

    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--runs") == 0)
            runs = number(argv[0], argv[i], argv[i + 1]);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = number(argv[0], argv[i], argv[i + 1]);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = number(argv[0], argv[i], argv[i + 1]);
        else
            number(argv[0], "usage: [--runs N] [--seconds N] [--seed S] [FILE...];", NULL);
    }
    for (; i < argc; i++) {
        run_file(argv[i]);
        done++;
    }
    if (done > 0)
        return EXIT_SUCCESS;
    snprintf(kept_name, sizeof kept_name, "%s.input", argv[0]);
    kept_input = fopen(kept_name, "wb");
    fuzz.random = seed * 0x9e3779b97f4a7c15u + 1;
    rpc_buffer_init(&fuzz.input, FUZZ_INPUT_BYTES_MAX);
    load_seeds(&fuzz);
    for (unsigned s = 0; s < fuzz.seed_count; s++)
        try_input(fuzz.seeds[s].data, fuzz.seeds[s].len);
    for (; seconds > 0 ? time(NULL) - begun < (time_t)seconds : done < runs; done++) {
        make_input(&fuzz);
        keep_input(&fuzz.input);
        try_input(fuzz.input.data, fuzz.input.len);
    }
    printf("%s: %llu inputs from %u seeds, seed %llu: ok\n", argv[0], done, fuzz.seed_count, seed);
    for (unsigned s = 0; s < fuzz.seed_count; s++)
        rpc_buffer_deinit(&fuzz.seeds[s]);
    rpc_buffer_deinit(&fuzz.input);
    if (kept_input != NULL) {
        fclose(kept_input);
        remove(kept_name);
    }
    return EXIT_SUCCESS;
}
