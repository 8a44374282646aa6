#!/bin/busybox sh
# The first program of a Linux guest of the tests: a shell at the serial port.
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t devtmpfs dev /dev
for module in /modules/*; do $bb insmod "$module"; done
$bb --install -s /bin
export PATH=/bin HOME=/root PS1='guest# '
echo "the guest is up"
setsid cttyhack sh
poweroff -f
