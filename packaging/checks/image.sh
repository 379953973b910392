#!/bin/sh
# The image of packaging/Containerfile, without what builds images: a root in which there is the static program and
# nothing else, read-only, in which it runs as a user without rights.
. "$(dirname "$0")/../lib.sh"
need jq jq
need curl curl
build "$(uname -m)-unknown-linux-musl"
alone

image=$scratch/image
mkdir -p "$image/usr/bin" "$image/data" "$scratch/data"
install -m 0555 "$program" "$image/usr/bin/mist"
chown 65532:65532 "$scratch/data"
chmod 755 "$scratch"
mount --bind "$image" "$image"
# The volume for the token store.
mount --bind "$scratch/data" "$image/data"
mount -o remount,bind,ro "$image"
if touch "$image/usr/bin/other"; then
    echo "the root can be written"
    exit 1
fi

of_recipe() {
    sed -n "s/^$1 //p" packaging/Containerfile | jq --raw-output '.[]'
}
user=$(sed -n 's/^USER //p' packaging/Containerfile)
store=/data/tokens.db client=$program
# shellcheck disable=SC2046
try_out setpriv --no-new-privs chroot --userspec="$user" "$image" $(of_recipe ENTRYPOINT) $(of_recipe CMD)
ls -l "$scratch/data/tokens.db"
