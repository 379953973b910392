#!/bin/sh
# Type-checks program and libraries for macOS. Nothing is linked, since that takes what only Apple hands out.
. "$(dirname "$0")/../lib.sh"
need_targets aarch64-apple-darwin x86_64-apple-darwin
need_zig
for architecture in aarch64 x86_64; do
    cargo-zigbuild check --locked --package mist-pubsub --target "$architecture-apple-darwin"
done
