# The demonstration: real jobs on real input, each in a partition of its own. Called with SEPTUM (the
# binary) and LANE (where this runs) set, at the top of the source tree.
set -eu

title() {
    printf '\n=== %s\n' "$1"
}

septum() {
    printf '$ septum' >&2
    for word in "$@"; do
        case $word in
        *[!A-Za-z0-9_./=,:-]*) printf " '%s'" "$word" >&2 ;;
        *) printf ' %s' "$word" >&2 ;;
        esac
    done
    printf '\n' >&2
    "$SEPTUM" "$@"
}

title "What this host can do ($LANE lane)"
septum doctor

title "awk, as the host installed it: the mean petal length of Fisher's irises"
mean=$(septum run -- awk -F, '{s+=$3} END {print s/NR}' tests/data/iris.csv)
echo "$mean"
expected=$(awk -F, '{s+=$3} END {print s/NR}' tests/data/iris.csv)
[ "$mean" = "$expected" ] || { echo "the host's own awk says $expected" >&2; exit 1; }

title "sha256sum: the same digest as outside"
inside=$(septum run -- sha256sum README.md)
echo "$inside"
outside=$(sha256sum README.md)
[ "$inside" = "$outside" ] || { echo "the host's own sha256sum says $outside" >&2; exit 1; }

title "A pipe through a partition, and the program's own exit status"
printf 'b\na\nc\n' | septum run -- sort -r
status=0
septum run -- sh -c 'exit 42' || status=$?
echo "exit status $status"
[ "$status" = 42 ]

title "What a partition cannot see: the host's root and home folders"
septum run -- ls -A /root /home || echo "(nothing there)"

title "All of it worked"
