#!/bin/sh
# What a shell does by itself, without starting another program.
count=0
total=0
while [ $count -lt 200 ]; do
    count=$((count + 1))
    total=$((total + count * count))
done
echo "sum of squares $total"
for word in one two "three four" '*'; do
    case $word in
    o*) echo "starts with o: $word" ;;
    *' '*) echo "has a space: $word" ;;
    *) echo "other: $word" ;;
    esac
done
path=/usr/lib/library.so.1
echo "${path##*/} ${path%/*} ${path%%.*} ${#path} ${absent:-default}"
greet() {
    local name=$1
    printf '%s, %s! %d%%\n' "$2" "$name" "$(($# * 50))"
    return 4
}
greet world hello
echo "status $?"
set -- a "b c" d
echo "$# $2 $*"
shift
echo "$@"
while read -r name number; do
    echo "$number: $name"
done <<END
first 1
second 2
END
{ echo "to standard error"; } >&2
[ -d / ] && [ ! -e /absent ] && test -r "$0" && echo "tests work"
trap 'echo leaving' EXIT
umask 022
type cd >/dev/null && command -v echo
eval "echo evaluated \$count"
cd / && echo "$PWD"
exit 6
