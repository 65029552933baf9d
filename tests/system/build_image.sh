#!/usr/bin/env bash
# Makes a Debian for the virtual machine: a disk image, its kernel and its first RAM disk.
#
# in   the release (bookworm | trixie), amd64 | arm64, and the folder to make; without-gpio-sim: the
#      machine is for the door alone
# out  FOLDER/disk.img (ext4), vmlinuz, initrd.img, versions.txt; no FOLDER at all when it fails
#
# Everything comes from Debian's archive, as apt finds it (http_proxy may name a proxy). The module
# v4l2loopback is compiled here, from Debian's package of its source and against exactly the kernel
# of the image: dkms would do the same, at the cost of a compiler and many more packages in it.
#
# Needs root: packages belong to users that only root can make. A foreign architecture runs under
# qemu-user-static, of which the kernel is told here if it was not (binfmt_misc).
set -euo pipefail

readonly release=${1:?bookworm or trixie} architecture=${2:?amd64 or arm64} folder=${3:?folder to make}
readonly without=${4:-}
here=$(cd "$(dirname "$0")" && pwd)
readonly here
readonly size=3G

say() { echo "image: $*" >&2; }
case $release in
bookworm | trixie) ;;
*) say "'$release' must be bookworm or trixie"; exit 2 ;;
esac
case $without in
'' | without-gpio-sim) ;;
*) say "'$without' must be without-gpio-sim, or nothing"; exit 2 ;;
esac
[ "$(id -u)" -eq 0 ] || { say 'this needs root'; exit 1; }

case $architecture in
amd64) foreign=x86_64 ;;
arm64) foreign=aarch64 ;;
*) say "'$architecture' must be amd64 or arm64"; exit 2 ;;
esac
if [ "$(dpkg --print-architecture)" != "$architecture" ]; then
    binfmt=/proc/sys/fs/binfmt_misc
    [ -e $binfmt/register ] || mount -t binfmt_misc none $binfmt
    if [ ! -e "$binfmt/qemu-$foreign" ]; then
        say "telling the kernel to run $architecture programs by qemu-$foreign-static"
        cat "/usr/lib/binfmt.d/qemu-$foreign.conf" > $binfmt/register
    fi
fi

mkdir -p "$(dirname "$folder")"
work=$(mktemp --directory "$folder.XXXXXX")
readonly work
discard() {
    # A build that was stopped may leave proc, sys and dev mounted under its root.
    awk -v under="$work/" 'index($2, under) == 1 { print $2 }' /proc/self/mounts | sort -r |
        while read -r point; do umount "$point"; done
    rm -rf --one-file-system "$work"
}
trap discard EXIT

# The first RAM disk needs what finds the disk, no more: the usual one copies a thousand modules,
# one process each, which takes minutes where processes are emulated.
printf '%s\n' virtio_pci virtio_mmio virtio_blk ext4 > "$work/modules"

options=(
    --architectures="$architecture" --variant=minbase --mode=root --quiet
    --aptopt='Acquire::Languages "none"'
    --dpkgopt=force-unsafe-io
    --include="$(paste -sd, "$here/packages.txt")"
    --include="linux-image-$architecture,linux-headers-$architecture,gcc,make"
    --essential-hook="mkdir -p \"\$1/etc/initramfs-tools/conf.d\"
        echo MODULES=list > \"\$1/etc/initramfs-tools/conf.d/system-test\"
        cp '$work/modules' \"\$1/etc/initramfs-tools/modules\""
    --customize-hook="'$here/furnish.sh' \"\$1\" $without"
)
# Nobody reads manuals in there, and the machine has neither a screen nor a network.
# Debian 12 packs the kernel's modules under /lib, Debian 13 under /usr/lib.
for part in usr/share/{doc,man,locale,info,fonts,icons} \
    {,usr/}lib/modules/\*/kernel/{sound,drivers/{gpu,net,infiniband,scsi,iio,staging,hwmon,ata,nvme,mtd}}; do
    options+=(--dpkgopt="path-exclude=/$part/*")
done

say "installing Debian's $release for $architecture"
mmdebstrap "${options[@]}" "$release" "$work/root"

mkdir "$work/image"
cp --dereference "$work/root/vmlinuz" "$work/root/initrd.img" "$work/image/"
chroot "$work/root" dpkg-query --show > "$work/image/versions.txt"
# What compiled the module is not needed any longer.
rm -rf --one-file-system "$work/root/usr/src" "$work/root/usr/lib/gcc" "$work"/root/usr/lib/linux-kbuild-*
say 'writing the disk image'
truncate --size=$size "$work/image/disk.img"
# No journal: nothing of this image outlives a run.
/usr/sbin/mke2fs -q -t ext4 -L root -O '^has_journal' -E lazy_itable_init=1 -d "$work/root" "$work/image/disk.img"
chmod a+r "$work/image"/*
chmod 755 "$work/image"
rm -rf "$folder"
mv "$work/image" "$folder"
