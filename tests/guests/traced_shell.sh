#!/bin/sh
# What strace tells of a shell and its children, where there is one; numbers of processes are not the same twice.
command -v strace > /dev/null || exit 0
normal() { sed -E 's/0x[0-9a-f]+/ADDRESS/g; s/^[0-9]+ +//; s/si_pid=[0-9]+/si_pid=N/; s/, si_utime=.*}/}/; s/kill\([0-9]+/kill(N/; s/ +=/ =/'; }
told=$(mktemp)
rm -f "$told"; mkdir "$told"
strace -ff -o "$told/of" -e trace=chdir,kill,exit_group sh -c 'cd /; (exit 3); echo $?; trap "echo usr" USR1; kill -USR1 $$; kill -TERM $$'
echo $?
cat "$told"/* | normal | sort
rm -rf "$told"
strace -c -o "$told" -e trace=chdir sh -c 'cd /; cd /usr'
awk '/chdir/ { print $4, $NF }' "$told"
rm -f "$told"; mkdir "$told"
strace -ff -o "$told/of" -e trace=fchdir,exit_group -e signal=none sh -c 'for i in 1 2 3 4 5; do (exit $i) & done; wait; /bin/true | cat'
cat "$told"/* | normal | sort | uniq -c
rm -rf "$told"
