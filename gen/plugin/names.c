/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of protoc-gen-c's names and of SQL's; see names.h.
 */
#include "names.h"

#include <ctype.h>
#include <string.h>

/* SQLite's keywords, up to those of 3.40 (sqlite.org/lang_keywords.html), in
 * alphabetical order, each between spaces. A column named by one would need
 * quotes in every statement that an app writes. */
static const char sql_keywords[] =
    " abort action add after all alter always analyze and as asc attach autoincrement"
    " before begin between by cascade case cast check collate column commit conflict"
    " constraint create cross current current_date current_time current_timestamp database"
    " default deferrable deferred delete desc detach distinct do drop each else end escape"
    " except exclude exclusive exists explain fail filter first following for foreign from"
    " full generated glob group groups having if ignore immediate in index indexed"
    " initially inner insert instead intersect into is isnull join key last left like"
    " limit match materialized natural no not nothing notnull null nulls of offset on or"
    " order others outer over partition plan pragma preceding primary query raise range"
    " recursive references regexp reindex release rename replace restrict returning right"
    " rollback row rows savepoint select set table temp temporary then ties to transaction"
    " trigger unbounded union unique update using vacuum values view virtual when where"
    " window with without ";

/* ---- protoc-gen-c's names ------------------------------------------------ */

static void add_camel(struct text *text, const char *part, size_t len)
{
    bool upper = true;

    for (size_t i = 0; i < len; i++) {
        char c = part[i];
        if (c == '_') {
            upper = true;
            continue;
        }
        if (upper)
            c = (char)toupper((unsigned char)c);
        text_add_bytes(text, &c, 1);
        upper = false;
    }
}

/* An underscore goes before a capital that follows a small letter or a digit. */
static void add_snake(struct text *text, const char *part, size_t len)
{
    bool was_upper = true;

    for (size_t i = 0; i < len; i++) {
        bool is_upper = isupper((unsigned char)part[i]) != 0;
        char c = (char)tolower((unsigned char)part[i]);
        if (is_upper && !was_upper)
            text_add_bytes(text, "_", 1);
        text_add_bytes(text, &c, 1);
        was_upper = is_upper;
    }
}

static const char *take(struct output *output, struct text *text)
{
    const char *name = output_string(output, "%s", text->data);

    text_deinit(text);
    return name;
}

/* The parts between dots, each through add, joined by "__". */
static const char *join_parts(struct output *output, const char *full_name,
                              void (*add)(struct text *text, const char *part, size_t len))
{
    struct text text = {0};

    full_name += strspn(full_name, ".");
    while (*full_name != '\0') {
        size_t len = strcspn(full_name, ".");
        if (text.len > 0)
            text_add(&text, "__");
        add(&text, full_name, len);
        full_name += len;
        full_name += strspn(full_name, ".");
    }
    return take(output, &text);
}

const char *name_c_type(struct output *output, const char *full_name)
{
    return join_parts(output, full_name, add_camel);
}

const char *name_c_lower(struct output *output, const char *full_name)
{
    return join_parts(output, full_name, add_snake);
}

const char *name_snake(struct output *output, const char *camel)
{
    struct text text = {0};

    add_snake(&text, camel, strlen(camel));
    return take(output, &text);
}

const char *name_package(struct output *output, const char *package, char separator)
{
    struct text text = {0};

    text_add(&text, "%s", package);
    for (char *dot = text.data; (dot = strchr(dot, '.')) != NULL; dot++)
        *dot = separator;
    return take(output, &text);
}

const char *name_upper(struct output *output, const char *name)
{
    struct text text = {0};

    text_add(&text, "%s", name);
    for (char *c = text.data; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    return take(output, &text);
}

/* ---- SQL's names --------------------------------------------------------- */

static bool is_sql_keyword(const char *name)
{
    size_t len = strlen(name);

    for (const char *at = sql_keywords; (at = strstr(at, name)) != NULL; at++)
        if (at[-1] == ' ' && at[len] == ' ')
            return true;
    return false;
}

const char *name_sql_problem(const char *name)
{
    if (!islower((unsigned char)name[0]) ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
        return "is no SQL name: use small letters, digits and underscores";
    if (strncmp(name, "outpost_", strlen("outpost_")) == 0 ||
        strncmp(name, "sqlite_", strlen("sqlite_")) == 0)
        return "begins with outpost_ or sqlite_, which are reserved: choose another name";
    if (is_sql_keyword(name))
        return "is an SQL keyword: choose another name";
    return NULL;
}
