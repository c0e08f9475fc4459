#!/usr/bin/env bash
# Goal: what protoc-gen-outpost writes looks like the code around it. Method:
# clang-format finds nothing to change, no line is too long, and every header
# compiles alone, as C11 and as C++.
set -euo pipefail
cd "$(dirname "$0")/../.."

files=$(find gen/outpost tests/golden/test -name '*.gen.[ch]' -o -name '*.rpc.[ch]')
[ -n "$files" ] || { echo "no generated files" >&2; exit 1; }
# shellcheck disable=SC2086 # a list of file names without spaces
clang-format --dry-run -Werror $files
# shellcheck disable=SC2086
if grep -nE '.{101}' $files; then
    echo "lines over 100 columns" >&2
    exit 1
fi

includes=(-Igen -Igen/protobuf -Igen/record/include -Igen/stub/include -Irpc/include -Itests/golden)
for header in $(printf '%s\n' "$files" | grep '\.h$') gen/stub/include/outpost/stub.h; do
    cc -std=c11 -Wall -Wextra -Werror -fsyntax-only "${includes[@]}" -x c "$header"
    c++ -std=c++17 -Wall -Wextra -Werror -fsyntax-only "${includes[@]}" -x c++ "$header"
done
