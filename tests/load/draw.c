/* SPDX-License-Identifier: Apache-2.0 */
#include "draw.h"

#include <math.h>
#include <stdlib.h>

/* ---- Draws --------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

struct draw draw_stream(uint64_t seed, uint64_t purpose, uint64_t number)
{
    return (struct draw){mix(mix(mix(seed + 1) ^ (purpose + 1)) ^ (number + 1))};
}

uint64_t draw_next(struct draw *draw)
{
    draw->state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(draw->state);
}

uint64_t draw_below(struct draw *draw, uint64_t count)
{
    return draw_next(draw) % count;
}

double draw_unit(struct draw *draw)
{
    return (double)(draw_next(draw) >> 11) * 0x1p-53;
}

bool draw_chance(struct draw *draw, double probability)
{
    return draw_unit(draw) < probability;
}

double draw_normal(struct draw *draw)
{
    const double pi = 3.14159265358979323846;
    double radius = sqrt(-2 * log(1 - draw_unit(draw)));

    return radius * cos(2 * pi * draw_unit(draw));
}

double draw_exponential(struct draw *draw)
{
    return -log(1 - draw_unit(draw));
}

struct record_uuid draw_uuid(struct draw *draw)
{
    uint64_t random[2] = {draw_next(draw), draw_next(draw)};
    uint8_t bytes[RECORD_UUID_LEN];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(random[i / 8] >> (i % 8 * 8));
    return record_uuid_v4(bytes);
}

/* ---- Zipf ---------------------------------------------------------------------------- */

bool zipf_init(struct zipf *zipf, size_t count, double skew)
{
    double sum = 0;

    *zipf = (struct zipf){.sums = malloc(count * sizeof *zipf->sums), .count = count};
    if (zipf->sums == NULL)
        return false;
    for (size_t rank = 0; rank < count; rank++)
        zipf->sums[rank] = sum += pow((double)(rank + 1), -skew);
    return true;
}

void zipf_deinit(struct zipf *zipf)
{
    free(zipf->sums);
}

size_t zipf_pick(const struct zipf *zipf, struct draw *draw)
{
    double wanted = draw_unit(draw) * zipf->sums[zipf->count - 1];
    size_t low = 0, high = zipf->count - 1;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zipf->sums[middle] > wanted)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

double zipf_share(const struct zipf *zipf, size_t rank)
{
    double before = rank > 0 ? zipf->sums[rank - 1] : 0;

    return (zipf->sums[rank] - before) / zipf->sums[zipf->count - 1];
}
