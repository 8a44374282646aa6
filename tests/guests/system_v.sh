#!/bin/sh
# System V objects by the tools of util-linux: made, listed, removed, and the limits that they tell.
number() { sed 's/.*: //'; }
q=$(ipcmk -Q -p 0640 | number); s=$(ipcmk -S 3 | number); m=$(ipcmk -M 10000 | number)
ipcs -q | awk -v id="$q" '$2 == id { print $3, $4, $5, $6 }'
ipcs -s | awk -v id="$s" '$2 == id { print $3, $4, $5 }'
ipcs -m | awk -v id="$m" '$2 == id { print $3, $4, $5, $6 }'
ipcs -q -i "$q" | grep mode
ipcs -s -i "$s" | grep -v time | sed "s/semid=$s/semid=ID/; /mode=/!b"
ipcs -m -i "$m" | grep bytes | sed 's/lpid.*nattch/nattch/'
ipcs -l
grep -c . /proc/sysvipc/msg > /dev/null; head -1 /proc/sysvipc/msg; head -1 /proc/sysvipc/sem; head -1 /proc/sysvipc/shm
awk -v id="$m" '$2 == id { print $3, $4 }' /proc/sysvipc/shm
ipcrm -q "$q" -s "$s" -m "$m"; echo removed $?
ipcrm -q "$q" 2>&1 | sed "s/$q/ID/"
cat /proc/sys/kernel/msgmax /proc/sys/kernel/msgmnb /proc/sys/kernel/msgmni /proc/sys/kernel/sem /proc/sys/kernel/shmmax /proc/sys/kernel/shmall /proc/sys/kernel/shmmni
cat /proc/sys/fs/mqueue/*
