#!/usr/bin/env bash
# Goal: the committed files are what the generator writes: the product's, and the
# test package's as golden files. Method: generate into a temporary folder with
# the plugin given, and compare both ways.
set -euo pipefail
plugin=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$root/ci/generate" --plugin "$plugin" --out "$work"

generated() {
    (cd "$1" && find gen/outpost tests/golden/test proto tests/proto -type f \
        \( -name '*.[ch]' -o -name record.proto \) | sort)
}
failed=0
diff -u <(generated "$root") <(generated "$work") || failed=1
for file in $(generated "$work"); do
    diff -u "$root/$file" "$work/$file" || failed=1
done
[ $failed -eq 0 ] || echo "generated files are not current: run ci/generate and commit" >&2
exit $failed
