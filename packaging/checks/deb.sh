#!/bin/sh
# The Debian package: installed, run as its unit says, and removed with dpkg, in a copy of this machine that goes with
# the check.
. "$(dirname "$0")/../lib.sh"
need dpkg dpkg
need adduser adduser
need curl curl
need systemd-analyze systemd
need_cargo_deb
triple=$(uname -m)-unknown-linux-musl
build "$triple"
write_papers "$program"
pack_deb "$triple" dev "$scratch/mist.deb" --fast
alone

copy=$scratch/overlay/root
mkdir "$scratch/overlay"
mount -t tmpfs tmpfs "$scratch/overlay"
mkdir "$copy" "$scratch/overlay/new" "$scratch/overlay/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/overlay/new,workdir=$scratch/overlay/work" "$copy"
for system in dev proc sys; do mount --rbind "/$system" "$copy/$system"; done
cp "$scratch/mist.deb" "$copy/mist.deb"
there() { chroot "$copy" "$@"; }

there dpkg --install /mist.deb
there getent passwd mist
there mist check-config /etc/mist/mist.toml
there zcat /usr/share/man/man1/mist.1.gz | await '.TH mist'
there bash -c '. /usr/share/bash-completion/completions/mist'
unit=$(there sh -c 'ls /lib/systemd/system/mist.service')
said=$(there systemd-analyze verify --man=no "$unit" 2>&1) || { echo "$said"; exit 1; }
[ -z "$said" ]

# What systemd does before it starts the command of the unit.
there install -d -o mist -g mist -m 700 /var/lib/mist
store=/var/lib/mist/tokens.db client="chroot $copy mist"
# shellcheck disable=SC2046
try_out setpriv --no-new-privs chroot --userspec=mist:mist "$copy" \
    $(sed -n 's/^ExecStart=//p' "$copy$unit") --listeners tcp://127.0.0.1:1445,http://127.0.0.1:8080

there dpkg --remove mist
if [ -e "$copy/usr/bin/mist" ]; then
    echo "the program is there still"
    exit 1
fi
there dpkg --purge mist
if [ -e "$copy/etc/mist/mist.toml" ]; then
    echo "the settings are there still"
    exit 1
fi
there test -s /var/lib/mist/tokens.db
