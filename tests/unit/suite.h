/* SPDX-License-Identifier: Apache-2.0
 *
 * The main function of a CUnit program: runs a table of tests and tells by the
 * exit code whether all assertions held. One suite per program.
 */
#ifndef OUTPOST_TESTS_SUITE_H
#define OUTPOST_TESTS_SUITE_H

#include <CUnit/Basic.h>
#include <stdlib.h>

struct suite_test {
    const char *name;
    void (*run)(void);
};

#define SUITE_TEST(function) \
    {                        \
#function, function  \
    }

/* Runs the tests; the result is main's. */
static inline int suite_run(const char *module, const struct suite_test *tests, size_t count)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return EXIT_FAILURE;
    CU_pSuite suite = CU_add_suite(module, NULL, NULL);
    for (size_t i = 0; i < count; i++)
        if (suite == NULL || CU_add_test(suite, tests[i].name, tests[i].run) == NULL)
            return EXIT_FAILURE;
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    unsigned run = CU_get_number_of_tests_run();
    CU_cleanup_registry();
    return failures == 0 && run == count ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
