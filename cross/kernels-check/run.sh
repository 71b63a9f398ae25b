#!/bin/sh
# The kernels' tests on another processor, under qemu-user: every instruction set that the emulated
# CPU has against the scalar definition.
#
#   cross/kernels-check/run.sh aarch64-unknown-linux-gnu | armv7-unknown-linux-gnueabihf
#
# Debian: qemu-user-static rustc-web cargo-web rust-web-src gcc-aarch64-linux-gnu
# gcc-arm-linux-gnueabihf. The standard library is built from rust-web-src (about four minutes).
# Emulation says whether results are right; it says nothing about time on a board.
set -eu
cd "$(dirname "$0")"
target=${1:-aarch64-unknown-linux-gnu}
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$PWD/target/cross"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu max -L /usr/aarch64-linux-gnu"
export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER=arm-linux-gnueabihf-gcc
export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUNNER="qemu-arm-static -cpu max -L /usr/arm-linux-gnueabihf"
export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_RUSTFLAGS="-C target-feature=+neon"
exec /usr/bin/cargo test --lib -Zbuild-std --target "$target"
