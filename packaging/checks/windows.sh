#!/bin/sh
# Builds for Windows with mingw-w64, and runs under wine: unit tests, every transcript, tests of the command line, and
# what a user does first. Wine cannot press Ctrl-Break, so tests that stop a server so are for a real Windows.
. "$(dirname "$0")/../lib.sh"
need curl curl
triple=x86_64-pc-windows-gnu
need x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64
need wine wine
need_targets $triple
wine=/usr/lib/wine/wine64
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$wine
export WINEPREFIX="$scratch/wine" WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
$wine wineboot --init
system=$WINEPREFIX/drive_c/windows/system32
if [ ! -e "$system/bcryptprimitives.dll" ]; then
    x86_64-w64-mingw32-gcc -shared -o "$system/bcryptprimitives.dll" packaging/checks/bcryptprimitives.c -ladvapi32
fi

# One call for all, or some would be built twice, with other features.
cargo test --locked --target $triple --no-run --package mist-pubsub-net --package mist-pubsub-server \
    --package mist-pubsub --package mist-tests --lib --bins --tests
tests=$target/$triple/debug/deps
# run CRATE NAME [FILTER…]: the newest test program of that name, in the folder of its crate
run() {
    program=$(find "$tests" -name "$2-*.exe" -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
    (cd "$1" && shift 2 && $wine "$program" "$@" </dev/null)
}
run native/net mist_net
run native/server mist_server
run tests protocol transcripts
run native/mist it cli::commands cli::answers

# Wine takes SIGINT for Ctrl-C.
store=tokens.db client="$wine $target/$triple/debug/mist.exe" stop=INT
cd "$scratch"
# shellcheck disable=SC2086
try_out $client --server --listeners tcp://127.0.0.1:1445,http://127.0.0.1:8080
