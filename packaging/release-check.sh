#!/bin/sh
# What has to hold before a version is tagged, and what is left to do by hand: `cargo xtask release --dry-run`. It changes
# nothing. With a version, as the release's workflow calls it, that and the changelog are compared, and nothing is built.
set -u
cd "$(dirname "$0")/.." || exit 2

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
wanted=${1:-$version}
failed=0
check() { # what holds, then a command that shows it
    what=$1
    shift
    if said=$("$@" 2>&1); then
        echo "ok      $what"
    else
        failed=1
        echo "FAILED  $what"
        echo "$said" | tail -n 20 | sed 's/^/        /'
    fi
}
is_same() { [ "$1" = "$2" ] || { echo "it is $1"; return 1; }; }
own_crates() { # mist's own among the dependencies that have another version
    ! grep -E '^mist[a-z_]* = .*path = ' Cargo.toml | grep -vF "version = \"$wanted\""
}
changelog() {
    grep -E "^## \[$(echo "$wanted" | sed 's/\./\\./g')\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md ||
        { echo "make what is unreleased the section '## [$wanted] - $(date -u +%F)'"; return 1; }
}
clean() { changes=$(git status --porcelain) && [ -z "$changes" ] || { echo "$changes"; return 1; }; }
untagged() { ! git rev-parse --quiet --verify "refs/tags/v$wanted"; }

check "Cargo.toml: the version of the workspace is $wanted" is_same "$version" "$wanted"
check "Cargo.toml: so are those of mist's crates among the dependencies" own_crates
npm=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' wasm/npm/package.json)
check "wasm/npm/package.json: so is that of the package" is_same "$npm" "$wanted"
check "CHANGELOG.md: it has a section with a date" changelog
if [ $# = 0 ]; then
    check "everything is committed" clean
    check "there is no tag v$wanted yet" untagged
    check "Cargo.lock is up to date" cargo metadata --locked --format-version 1 --no-deps
    if command -v actionlint >/dev/null; then
        check "the workflows are sound (actionlint)" actionlint
    else
        echo "not done the workflows are sound: actionlint is not here; CI runs it"
    fi
    for step in documentation spelling licences crates; do
        check "cargo xtask test $step" cargo xtask test "$step"
    done
    cat <<TEXT

Left to do by hand:
  cargo xtask test                the whole of it, on the commit that is tagged
  git tag v$wanted && git push origin v$wanted    the workflow builds, and waits for a reviewer before it publishes
  the first version of each crate and of the npm package: publish it by hand, then let the registries trust the workflow
  look at the release's notes, install it from the registry, and say 'mist --version'
TEXT
fi
exit $failed
