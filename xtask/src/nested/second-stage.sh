#!/run/nested/sh
# The nested host's first process, in its final root: prepares what a program expects to find, then runs
# the job with its standard output and error carried to the outer host by one port each. The third port
# carries a line a second while this host is alive, and at the end the job's exit status.
#
# The job writes into pipes, not into the ports: a port can be opened only once, so /dev/stdout would fail.
export PATH=/run/nested:/usr/sbin:/usr/bin:/sbin:/bin

mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sfn /proc/self/fd /dev/fd
ln -sfn /proc/self/fd/0 /dev/stdin
ln -sfn /proc/self/fd/1 /dev/stdout
ln -sfn /proc/self/fd/2 /dev/stderr
ifconfig lo 127.0.0.1 up
hostname nested
ulimit -Hn 1048576

# The emulated devices that tests pass through: QEMU's edu (1234:11e8) and pci-testdev (1b36:0005).
for device in /sys/bus/pci/devices/*; do
    read -r vendor <"$device/vendor"
    read -r model <"$device/device"
    case "$vendor:$model" in
    0x1234:0x11e8 | 0x1b36:0x0005)
        echo vfio-pci >"$device/driver_override"
        echo "${device##*/}" >/sys/bus/pci/drivers_probe
        ;;
    esac
done

# There is no udev: /dev/virtio-ports does not exist and the names are looked up here.
port() {
    tries=0
    while [ $tries -lt 200 ]; do
        for entry in /sys/class/virtio-ports/*; do
            if [ -r "$entry/name" ] && [ "$(cat "$entry/name")" = "$1" ]; then
                echo "/dev/${entry##*/}"
                return
            fi
        done
        tries=$((tries + 1))
        sleep 0.05
    done
    echo "nested: no port $1" >/dev/console
    echo /dev/console
}
mkfifo /run/nested/pipe-out /run/nested/pipe-err
exec 3>"$(port control)"
out=$(port out)
err=$(port err)

. /run/nested/settings # sets end_marker, processors and write_back
if [ -n "$write_back" ]; then
    mkdir -p /septum-out
    mount -t virtiofs out /septum-out || echo "nested: cannot mount /septum-out" >/dev/console
fi

{ cat /run/nested/pipe-out && printf '%s' "$end_marker"; } >"$out" 3>&- &
{ cat /run/nested/pipe-err && printf '%s' "$end_marker"; } >"$err" 3>&- &
while :; do
    echo alive >&3
    sleep 1
done &

# See hold-kvm.pl. Without perl or KVM the job runs all the same.
mkfifo /run/nested/held
perl /run/nested/hold-kvm.pl >/run/nested/held 2>/dev/null </dev/null 3>&- &
read -r _ </run/nested/held

echo start >&3
# Not in the background, where a shell lets SIGINT and SIGQUIT be ignored. Its remark about a killed job goes nowhere.
{ (exec taskset -c "$processors" env -i /bin/sh /run/nested/job >/run/nested/pipe-out 2>/run/nested/pipe-err </dev/null 3>&-); } 2>/dev/null
echo "exit $?" >&3
# The outer host ends the emulator when it has this line and both end markers.
sleep 60
reboot -f
