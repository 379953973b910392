#!/bin/sh
# Packs what is handed out into dist/: the npm package, the page as an archive, the crates, the program for each
# target with what must go along, Debian packages, what the program is made of (SBOM), and the sums of all. The npm
# package and the page have to be built before.
#
#     packaging/pack.sh [npm page crates sbom TRIPLE…]
. "$(dirname "$0")/lib.sh"
folder=$root/dist
linux="x86_64-unknown-linux-musl aarch64-unknown-linux-musl"
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- npm page crates sbom $linux x86_64-pc-windows-gnu
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)
rm -rf "$folder"
mkdir -p "$folder"

pack() {
    case $1 in
    npm) (cd wasm/npm && npm pack --silent --ignore-scripts --pack-destination "$folder") ;;
    page) tar -C native/server/page -czf "$folder/mist-page-$version.tar.gz" --transform "s/^dist/mist-page-$version/" dist ;;
    crates)
        for name in core net client server; do set -- "$@" --package "mist-pubsub-$name"; done
        shift
        cargo package --no-verify --allow-dirty --quiet --package mist-pubsub "$@"
        cp "$target"/package/*.crate "$folder"
        ;;
    sbom)
        need_cargo cyclonedx 0.5.9
        cargo cyclonedx --quiet --manifest-path native/mist/Cargo.toml --format json --override-filename sbom
        mv native/mist/sbom.json "$folder/mist-$version.cdx.json"
        ;;
    *) pack_program "$1" ;;
    esac
}

pack_program() {
    case $1 in *-linux-musl) need_cargo_deb ;; esac
    build "$1" release
    # Once for all targets, by a program that runs here.
    if [ ! -e "$scratch/papers" ]; then
        case $1 in
        "$(uname -m)"-unknown-linux-musl) write_papers "$program" ;;
        *)
            cargo build --locked --package mist-pubsub
            write_papers "$target/debug/mist"
            ;;
        esac
        touch "$scratch/papers"
    fi
    name=mist-$version-$1
    mkdir -p "$scratch/$name/completions"
    cp -r "$program" README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE packaging "$scratch/$name"
    cp artifacts/mist.1 "$scratch/$name"
    cp artifacts/mist.bash artifacts/mist.zsh artifacts/mist.fish "$scratch/$name/completions"
    tar -C "$scratch" -czf "$folder/$name.tar.gz" "$name"
    case $1 in *-linux-musl) pack_deb "$1" release "$folder" ;; esac
}

for part; do
    # What cannot be packed here does not keep the rest from being.
    set +e
    (
        set -e
        pack "$part"
    ) 3>&1
    code=$?
    set -e
    case $code in
    0) ;;
    77) echo "!!! NOT DONE: $part" ;;
    *) exit "$code" ;;
    esac
done

cd "$folder"
find . -maxdepth 1 -type f -printf '%P\n' | sort | xargs sha256sum >"$scratch/SHA256SUMS"
mv "$scratch/SHA256SUMS" .
cat SHA256SUMS
