#!/usr/bin/env bash
# Compiles the kernel's simulated GPIO chip for the virtual machine, and installs it there.
#
# in   the root, and its kernel's release; furnish.sh calls this while apt works in the root
# out  updates/gpio-sim.ko beside the kernel's own modules
#
# Debian's kernel is built without it (CONFIG_GPIO_SIM). It is compiled from Debian's package of the
# kernel's source, of exactly the version of that kernel, together with the simulated interrupts that it
# stands on (kernel/irq/irq_sim.c), which such a kernel has not either. One word is changed: the kernel
# does not export irq_to_desc() to modules, but does export irq_get_irq_data(), which leads to the same.
set -euo pipefail

readonly root=${1:?root of the file system} kernel=${2:?release of its kernel}
readonly name=linux-source-$(cut --delimiter=. --fields=1,2 <<<"$kernel") folder=/usr/src/gpio-sim
readonly here=$root$folder
mkdir -p "$here"

version=$(chroot "$root" dpkg-query --show --showformat='${Version}' "linux-image-$kernel")
readonly version
chroot "$root" sh -euc 'cd "$1"; apt-get -qq -o APT::Sandbox::User=root download "$2"' sh "$folder" "$name=$version"
dpkg-deb --fsys-tarfile "$here/$name"_*.deb | tar --extract --to-stdout "./usr/src/$name.tar.xz" >"$here/source.tar.xz"
tar --extract --file "$here/source.tar.xz" --directory "$here" --strip-components=3 --occurrence=1 \
    "$name"/{drivers/gpio/gpio-sim.c,drivers/gpio/gpiolib.h,kernel/irq/irq_sim.c}
rm "$here/$name"_*.deb "$here/source.tar.xz"

# A module of two files must not have the name of one of them.
mv "$here/gpio-sim.c" "$here/chip.c"
grep --quiet 'irq_to_desc(irqnum)' "$here/irq_sim.c"
sed --in-place 's/irq_to_desc(irqnum)/irq_data_to_desc(irq_get_irq_data(irqnum))/' "$here/irq_sim.c"
printf '%s\n' 'obj-m := gpio-sim.o' 'gpio-sim-y := chip.o irq_sim.o' >"$here/Kbuild"
chroot "$root" sh -euc '
    make -s -C "/usr/src/linux-headers-$1" M="$2" modules
    mkdir -p "/usr/lib/modules/$1/updates"
    cp "$2/gpio-sim.ko" "/usr/lib/modules/$1/updates/"
    depmod "$1"' sh "$kernel" "$folder"
rm -r "$here"
