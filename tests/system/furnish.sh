#!/usr/bin/env bash
# Furnishes a Debian root for the virtual machine: the modules v4l2loopback and gpio-sim, and the agent.
#
# in   the root; without-gpio-sim: that module is left out; mmdebstrap calls this (build_image.sh) while apt works in it
# out  the modules beside the kernel's own, units that let the host speak to the machine, and
#      no service that would disturb a test; where gpio-sim cannot be had, why, in
#      /usr/share/system-test/no-gpio-sim
set -euo pipefail

readonly root=${1:?root of the file system}
here=$(cd "$(dirname "$0")" && pwd)
readonly here
kernel=$(ls "$root/usr/lib/modules")
readonly kernel

# ---- v4l2loopback --------------------------------------------------------------------------------
chroot "$root" sh -euc '
    cd /usr/src
    apt-get -qq -o APT::Sandbox::User=root download v4l2loopback-dkms
    dpkg-deb --extract v4l2loopback-dkms_*.deb .
    make -s -C "/usr/src/linux-headers-$1" M="$(echo /usr/src/usr/src/v4l2loopback-*)" modules
    mkdir -p "/usr/lib/modules/$1/updates"
    cp usr/src/v4l2loopback-*/v4l2loopback.ko "/usr/lib/modules/$1/updates/"
    depmod "$1"' sh "$kernel"

# ---- gpio-sim ------------------------------------------------------------------------------------
# For the opener, which is tried on amd64 alone. A machine without it serves for everything else.
mkdir -p "$root/usr/share/system-test"
if [ "${2:-}" != without-gpio-sim ] && [ "$(chroot "$root" dpkg --print-architecture)" = amd64 ] &&
    ! "$here/build_gpio_sim.sh" "$root" "$kernel" >"$root/usr/share/system-test/no-gpio-sim" 2>&1; then
    echo 'image: without gpio-sim:' >&2
    tail --lines=5 "$root/usr/share/system-test/no-gpio-sim" >&2
else
    rm --force "$root/usr/share/system-test/no-gpio-sim"
fi

# ---- The machine ---------------------------------------------------------------------------------
echo door > "$root/etc/hostname"
printf '127.0.0.1 localhost door\n::1 localhost\n' > "$root/etc/hosts"
printf '/dev/vda / ext4 rw,noatime 0 0\n/dev/vdb /payload ext4 ro,nofail 0 0\n' > "$root/etc/fstab"
mkdir -p "$root/payload"
# Every line of the journal counts here, and stays until the machine goes.
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n' > "$root/etc/systemd/journald.conf.d/system-test.conf"

install -D -m 755 "$here/agent.sh" "$root/usr/local/sbin/system-test-agent"
install -D -m 644 "$here/agent.service" "$root/etc/systemd/system/system-test-agent.service"
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../system-test-agent.service "$root/etc/systemd/system/multi-user.target.wants/"

# The broker is configured and started by the tests; the clock is theirs too; the rest only takes
# time.
for unit in mosquitto.service systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer \
    dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer getty@tty1.service \
    systemd-networkd-wait-online.service; do
    rm -f "$root"/etc/systemd/system/*.wants/"$unit"
done
