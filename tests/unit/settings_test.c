/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of settings: every value that a setting prints it also reads, every
 * value beside its limits is refused, and the rule names the limits.
 */
#include "settings.h"
#include "suite.h"

#include <stdio.h>

static void check_value(const struct setting *setting, uint32_t value)
{
    struct settings settings = {.push_batch = 1};
    char text[SETTING_TEXT_LEN];
    uint32_t read = value + 1;

    setting_format(setting, value, text);
    CU_ASSERT_TRUE(setting_parse(setting, text, &read));
    CU_ASSERT_EQUAL(read, value);
    setting_put(&settings, setting, value);
    CU_ASSERT_EQUAL(setting_get(&settings, setting), value);
}

static void test_what_is_printed_is_read(void)
{
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &settings_all[i];
        CU_ASSERT_PTR_EQUAL(setting_by_name(setting->name, strlen(setting->name)), setting);
        check_value(setting, setting->min);
        check_value(setting, setting->max);
        check_value(setting, setting->min + (setting->max - setting->min) / 2);
    }
}

static void test_defaults_are_within_the_limits(void)
{
    struct settings settings;

    settings_init_default(&settings);
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        uint32_t value = setting_get(&settings, &settings_all[i]);
        CU_ASSERT_TRUE(value >= settings_all[i].min && value <= settings_all[i].max);
    }
}

static void test_other_values_are_refused_and_leave_the_result_alone(void)
{
    static const char *const bad[] = {"",    " 1",   "1 ",    "+1",  "-1",
                                      "1e3", "0x10", "maybe", "Yes", "99999999999999999999"};

    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &settings_all[i];
        char beside[2][SETTING_TEXT_LEN];
        uint32_t value = 4711;
        for (size_t j = 0; j < sizeof bad / sizeof bad[0]; j++)
            CU_ASSERT_FALSE(setting_parse(setting, bad[j], &value));
        snprintf(beside[0], SETTING_TEXT_LEN, "%u", setting->min - 1);
        snprintf(beside[1], SETTING_TEXT_LEN, "%u", setting->max + 1);
        for (size_t j = 0; j < 2; j++)
            CU_ASSERT_FALSE(setting_parse(setting, beside[j], &value));
        CU_ASSERT_EQUAL(value, 4711);
    }
    CU_ASSERT_PTR_NULL(setting_by_name("push_batch ", 11));
    CU_ASSERT_PTR_NULL(setting_by_name("push_batch", 4));
}

static void test_the_rule_names_every_word_or_the_limits(void)
{
    char rule[SETTING_TEXT_LEN], limit[SETTING_TEXT_LEN];

    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        const struct setting *setting = &settings_all[i];
        setting_rule(setting, rule);
        CU_ASSERT_TRUE(strlen(rule) < SETTING_TEXT_LEN - 1);
        setting_format(setting, setting->min, limit);
        CU_ASSERT_PTR_NOT_NULL(strstr(rule, limit));
        setting_format(setting, setting->max, limit);
        CU_ASSERT_PTR_NOT_NULL(strstr(rule, limit));
    }
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_what_is_printed_is_read),
        SUITE_TEST(test_defaults_are_within_the_limits),
        SUITE_TEST(test_other_values_are_refused_and_leave_the_result_alone),
        SUITE_TEST(test_the_rule_names_every_word_or_the_limits),
    };

    return suite_run("settings", tests, sizeof tests / sizeof tests[0]);
}
