#!/bin/sh
# The static program for aarch64, under qemu's emulation of a user's programs.
. "$(dirname "$0")/../lib.sh"
need curl curl
need qemu-aarch64-static qemu-user-static
build aarch64-unknown-linux-musl
alone
store=$scratch/tokens.db client="qemu-aarch64-static $program"
# shellcheck disable=SC2086
try_out $client --server --listeners tcp://127.0.0.1:1445,http://127.0.0.1:8080
