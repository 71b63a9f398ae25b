# What the scripts of this folder share; read by them, not run.
# shellcheck shell=bash
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Products: $out/NAME/inferd, $out/NAME/inferctl.
out=${INFERD_BOARD_DIR:-$root/target/board}
all_targets="aarch64 armv7 armv6 x86_64"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -1)

fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Sets what a name stands for: triple, what changes the boards' profile and where cargo works (two profiles are built at a
# time), features, emulator, architecture of Debian, its tools' prefix.
target() {
    features="" deb="" tools="" tuning="" folder=$out
    case ${1:-} in
    aarch64) triple=aarch64-unknown-linux-musl emulator="qemu-aarch64 -cpu max"
        deb=arm64 tools=aarch64-linux-gnu- ;;
    armv7) triple=armv7-unknown-linux-musleabihf emulator="qemu-arm -cpu max"
        features=+neon deb=armhf tools=arm-linux-gnueabihf- ;;
    # Debian's armhf is ARMv7: there is no package for this one (Raspberry Pi 1 and Zero).
    armv6) triple=arm-unknown-linux-musleabihf emulator="qemu-arm -cpu arm1176"
        tools=arm-linux-gnueabihf- ;;
    x86_64) triple=x86_64-unknown-linux-musl emulator="" deb=amd64 tools=x86_64-linux-gnu-
        tuning=cross/profiles/x86_64.toml folder=$out/tuned ;;
    # Of ARM's profile: for a gateway with little room, and to hold to the budgets what this processor can measure.
    x86_64-small) triple=x86_64-unknown-linux-musl emulator="" tools=x86_64-linux-gnu- ;;
    *) fail "'${1:-}' is no target: $all_targets x86_64-small" ;;
    esac
    name=$1
}

# Sets where the packages are that are tried in a Debian root.
amd64_packages() {
    daemon="$out/deb/inferd_${version}_amd64.deb" operator="$out/deb/inferctl_${version}_amd64.deb"
    [ -f "$daemon" ] && [ -f "$operator" ] || fail "cross/build x86_64 and packaging/package x86_64 come first"
}

# The first of the venv that cross/setup made and what is installed.
export PATH="$root/target/cross-venv/bin:$PATH"
has() { command -v "$1" >/dev/null 2>&1; }

# Debian packages, where one of them is not installed yet.
install_packages() {
    # shellcheck disable=SC2016
    if [ "$(dpkg-query -W -f '${db:Status-Status}\n' "$@" 2>/dev/null | grep -cx installed)" -ne $# ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
    fi
}
