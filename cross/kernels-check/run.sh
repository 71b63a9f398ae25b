#!/bin/sh
# The kernels' tests, every instruction set against the scalar definition and that against the sums
# it stands for, on another processor or under a checker of memory accesses:
#
#   cross/kernels-check/run.sh aarch64   under qemu-user: NEON, with and without the dot product
#   cross/kernels-check/run.sh armv7     under qemu-user: NEON by inline assembly
#   cross/kernels-check/run.sh memory    here, under AddressSanitizer
#   cross/kernels-check/run.sh miri      here, interpreted; needs a toolchain with Miri
#
# The first two want Debian's qemu-user-static, rustc-web, cargo-web, rust-web-src and
# gcc-aarch64-linux-gnu or gcc-arm-linux-gnueabihf, and build the standard library from source.
# Emulation says whether results are right; it says nothing about time on a board.
set -eu
cd "$(dirname "$0")"
emulated() {
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$PWD/target/cross"
    exec /usr/bin/cargo test --lib -Zbuild-std --target "$1"
}
case ${1:-} in
aarch64)
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu max -L /usr/aarch64-linux-gnu"
    emulated aarch64-unknown-linux-gnu ;;
armv7)
    export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER=arm-linux-gnueabihf-gcc
    export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUNNER="qemu-arm-static -cpu max -L /usr/arm-linux-gnueabihf"
    export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUSTFLAGS="-C target-feature=+neon"
    emulated armv7-unknown-linux-gnueabihf ;;
memory)
    export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR="$PWD/target/memory"
    exec cargo test --lib --target "$(rustc -vV | sed -n 's/^host: //p')" ;;
miri)
    if ! cargo +nightly miri --version >/dev/null 2>&1; then
        echo "SKIPPED: Miri is not installed here (rustup component add --toolchain nightly miri)"
        exit 0
    fi
    exec cargo +nightly miri test --lib ;;
*)
    echo "aarch64, armv7, memory or miri: see the head of this file" >&2
    exit 2 ;;
esac
