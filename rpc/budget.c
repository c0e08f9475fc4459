/* SPDX-License-Identifier: Apache-2.0 */
#include "budget.h"

static const struct {
    int64_t burst;
    int64_t per_second; /* so thousandths a millisecond */
    const char *text;
} rules[BUDGET_COUNT] = {
#define X(name, burst, rate, text) [BUDGET_##name] = {burst, rate, text},
    BUDGETS(X)
#undef X
};

bool budget_spend(struct budgets *budgets, enum budget_kind kind, int64_t now_ms)
{
    int64_t *spent = &budgets->buckets[kind].spent;
    int64_t regained_ms = now_ms - budgets->buckets[kind].at_ms;

    /* What is spent is at most the burst, so a longer time regains no more. */
    if (regained_ms * rules[kind].per_second >= *spent)
        *spent = 0;
    else
        *spent -= regained_ms * rules[kind].per_second;
    budgets->buckets[kind].at_ms = now_ms;
    *spent += 1000;
    return *spent <= rules[kind].burst * 1000;
}

void budget_restore(struct budgets *budgets, enum budget_kind kind)
{
    budgets->buckets[kind].spent = 0;
}

const char *budget_text(enum budget_kind kind)
{
    return rules[kind].text;
}
