#!/bin/busybox sh
# The nested host's first process, in the initramfs. It loads the modules, builds the root file system
# and moves into it:
#
#   /        overlay:  upper = RAM,  lower = the outer host's whole file tree, read-only (virtio-fs "host")
#   /run /dev/shm = RAM              /proc /sys /dev = this kernel's own
#
# So every path of the outer host names the same file here, and whatever is written disappears at the end.
#
# An overlay reads its lower files in a way that the outer host allows only to their owner. Where the file
# server does not run as root, the outer host's folders are therefore mounted as they are: read-only, with /tmp
# in RAM.
/bin/busybox --install -s /bin
export PATH=/bin

fail() {
    echo "nested: $1"
    sync
    reboot -f
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do
    insmod "$module" || echo "nested: cannot load $module"
done

mount -t virtiofs -o ro host /host || fail "cannot mount the outer host's file tree"
. /run/settings # sets overlay

if [ -n "$overlay" ]; then
    mount -t tmpfs -o mode=755 tmpfs /ram
    mkdir /ram/upper /ram/work
    layers=lowerdir=/host,upperdir=/ram/upper,workdir=/ram/work
    mount -t overlay -o "$layers" overlay /root || fail "cannot mount the root"
    chmod 755 /root
else
    mount -t tmpfs -o mode=755 tmpfs /root
    for path in /host/*; do
        name=${path##*/}
        case $name in
        proc | sys | dev | run | tmp) ;;
        *)
            if [ -L "$path" ]; then
                cp -P "$path" "/root/$name"
            elif [ -d "$path" ]; then
                mkdir "/root/$name"
                mount --bind "$path" "/root/$name"
            fi
            ;;
        esac
    done
fi

for folder in proc sys dev; do
    mkdir -p "/root/$folder"
    mount --move "/$folder" "/root/$folder"
done
mkdir -p /root/run /root/tmp
chmod 1777 /root/tmp
mount -t tmpfs -o mode=755 tmpfs /root/run
mkdir /root/run/nested
cp /bin/busybox /run/second-stage /run/hold-kvm.pl /run/settings /run/job /root/run/nested/
for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "/root/run/nested/$applet"
done
exec switch_root /root /run/nested/sh /run/nested/second-stage
