#!/bin/sh -u
# A script started by its first line; it writes and reads files with nothing but the shell.
umask 022
i=0
: >numbers
while [ $i -lt 50 ]; do
    echo "number $i" >>numbers
    i=$((i + 1))
done
total=0
while read -r word value; do
    total=$((total + value))
    [ "$word" = number ] || echo "FAIL $word"
done <numbers
echo "total $total"
exec 3>numbered 4<numbers
while read -r line <&4; do
    echo "$line!" >&3
done
exec 3>&- 4<&-
set -- *
echo "$*"
echo "$0 $-"
[ -s numbered ] && [ numbered -ef ./numbered ] && echo "written"
echo "${undefined_variable}"
echo "FAIL not reached"
