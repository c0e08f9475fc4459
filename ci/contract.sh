# The contract as a whole, and its released sets: sourced by the scripts that need
# them. TREE is a folder with proto/ in it.
#
# A set is written by protoc -o: all files of the contract with all that they import, in
# the order of their names, without comments. So the same contract has the same bytes.

# contract_set TREE FILE [PROTO_ROOT...]: writes the set of the tree; files of the
# further roots take the place of its own.
contract_set() {
    local tree=$1 output=$2 files
    shift 2
    files=$(cd "$tree/proto" && LC_ALL=C ls outpost/*.proto outpost/v*/*.proto)
    local root includes=()
    for root in "$@" "$tree/proto"; do includes+=(-I "$root"); done
    # shellcheck disable=SC2086 # a list of file names without spaces
    protoc "${includes[@]}" --include_imports -o "$output" $files
}

# contract_last TREE: the number of the last released set; 0: none is released.
contract_last() {
    local last
    last=$(cd "$1/proto" && LC_ALL=C ls released/*.binpb 2>/dev/null | tail -1)
    last=${last##*/}
    echo $((10#0${last%.binpb}))
}

# contract_file TREE NUMBER: where that set lies.
contract_file() {
    printf '%s/proto/released/%03d.binpb\n' "$1" "$2"
}

# contract_revision TREE SET: the revision of a tree with that set: the last released
# one's if it is that set, else the next.
contract_revision() {
    local last
    last=$(contract_last "$1")
    if [ "$last" -gt 0 ] && cmp -s "$2" "$(contract_file "$1" "$last")"; then
        echo "$last"
    else
        echo $((last + 1))
    fi
}
