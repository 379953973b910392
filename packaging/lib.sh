# What the scripts here share. A check that cannot be done on this machine ends with 77 and says on stdout why; everything
# else goes to stderr.
set -eu
exec 3>&1 1>&2

script=$(realpath "$0")
root=${script%/packaging/*}
cd "$root"
target=${check_target:-$(realpath -m "${CARGO_TARGET_DIR:-target}")}
scratch=${check_scratch:-$(mktemp -d)}
server=
# shellcheck disable=SC2329 # called by the trap
clean_up() {
    if [ -n "$server" ]; then kill "$server" || true; fi
    # Mounts in it end with the namespace, so who made that removes it.
    [ -n "${check_target:-}" ] || rm -rf "$scratch"
}
trap clean_up EXIT

# What runs on this machine while others are built for, such as macros, is built once for all, and for the checkout too;
# nobody looks into the rest with a debugger.
export CARGO_TARGET_DIR="$target" CARGO_PROFILE_DEV_DEBUG=0

not_done() {
    echo "$*" >&3
    exit 77
}

# need PROGRAM PACKAGE: a program, and the Debian package that brings it
need() {
    if command -v "$1" >/dev/null; then return; fi
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$2" || true
    fi
    command -v "$1" >/dev/null || not_done "$1 is missing: install $2"
}

need_root() {
    [ "$(id -u)" = 0 ] || not_done "only root may $1"
}

# need_targets TRIPLE…: their standard libraries
need_targets() {
    rustup target add "$@" || not_done "rustup cannot fetch the standard library of $*"
}

# Zig is a C compiler that has the headers of other systems.
need_zig() {
    zig=$target/zig
    if [ ! -x "$zig/bin/cargo-zigbuild" ]; then
        python3 -m pip install --quiet --disable-pip-version-check --target "$zig" \
            ziglang==0.17.1 cargo-zigbuild==0.24.1 || not_done "pip cannot fetch ziglang and cargo-zigbuild"
    fi
    export PATH="$zig/bin:$PATH" CARGO_ZIGBUILD_ZIG_PATH="$zig/ziglang/zig" ZIG_GLOBAL_CACHE_DIR="$target/zig-cache"
}

# build TRIPLE [PROFILE]: the program, quickly unless a profile is named; sets $program
build() {
    profile=${2:-dev}
    need_targets "$1"
    case $1 in
    # All in one file, whatever the machine has.
    *-linux-musl) need_zig; cargo-zigbuild zigbuild --locked --package mist-pubsub --target "$1" --profile "$profile" ;;
    *-windows-gnu)
        need x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64
        cargo build --locked --package mist-pubsub --target "$1" --profile "$profile"
        ;;
    *) not_done "nobody here links for $1" ;;
    esac
    case $profile in dev) level=debug ;; *) level=$profile ;; esac
    case $1 in *-windows-*) suffix=.exe ;; *) suffix= ;; esac
    program=$target/$1/$level/mist$suffix
}

# write_papers PROGRAM: what the program says of itself, in artifacts/
write_papers() {
    mkdir -p artifacts
    "$1" man >artifacts/mist.1
    for shell in bash zsh fish; do "$1" completions "$shell" >"artifacts/mist.$shell"; done
}

# need_cargo NAME VERSION: a command of cargo, which is compiled if it is missing
need_cargo() {
    export PATH="$target/tools/bin:$PATH"
    if command -v "cargo-$1" >/dev/null; then return; fi
    cargo install --locked --debug --quiet --root "$target/tools" "cargo-$1@$2" ||
        not_done "cargo-$1 is missing: cargo install --locked cargo-$1"
}
need_cargo_deb() { need_cargo deb 3.8.0; }

# pack_deb TRIPLE PROFILE FOLDER [OPTION…]: the Debian package of what was built
pack_deb() {
    triple=$1 profile=$2 output=$3
    shift 3
    cargo deb --no-build --no-strip --quiet --package mist-pubsub \
        --target "$triple" --profile "$profile" --output "$output" "$@"
}

# A network of this check's own, in which every port is free, and nobody else's mounts. What has to be fetched comes
# before, since the check begins anew there.
alone() {
    need_root "make namespaces"
    need unshare util-linux
    if [ -z "${check_target:-}" ]; then
        check_target=$target check_scratch=$scratch unshare --net --mount "$script" >&3 && exit 0
        exit $?
    fi
    need ip iproute2
    ip link set lo up
}

# await TEXT: the next line on stdin that has it; a stream that ends before is a failure
await() {
    while read -r line; do
        echo "$line"
        case $line in *"$1"*) return ;; esac
    done
    echo "the end came before '$1'"
    return 1
}

# try_out COMMAND…: what a user does first, with a server that the command starts on the ports 1445 and 8080 and that
# keeps its tokens in $store; $client is the command of the clients, $stop the signal that ends a server
# shellcheck disable=SC2086
try_out() {
    mkfifo "$scratch/log" "$scratch/got"
    "$@" --token top --authenticator "sqlite://$store" 2>"$scratch/log" &
    server=$!
    exec 4<"$scratch/log"
    await "the page is at" <&4
    $client ping --host 127.0.0.1:1445
    $client sub bus --host ws://127.0.0.1:8080 >"$scratch/got" &
    subscriber=$!
    exec 5<"$scratch/got"
    await "Listening on tags" <&5
    $client pub bus late --host 127.0.0.1:1445 -- "12 min"
    await "12 min" <&5
    kill -INT "$subscriber"
    export MIST_TOKEN=top
    $client token add desk north --host 127.0.0.1:1445
    $client token tags desk --host 127.0.0.1:1445 | await north
    unset MIST_TOKEN
    curl --fail --silent --show-error http://127.0.0.1:8080/ | grep -o '<title>mist'
    kill "-${stop:-TERM}" "$server"
    await stopped <&4
    wait "$server"
    server=
}
