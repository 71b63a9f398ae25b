//! The program under test: this build's, or another target's under its emulator.

use std::process::Command;

/// `inferd`, or what `INFERD_TEST_PROGRAM` says, such as
/// `qemu-aarch64-static target/board/aarch64/inferd` (parts between spaces, paths absolute).
pub(crate) fn inferd() -> Command {
    let told = std::env::var("INFERD_TEST_PROGRAM").unwrap_or_default();
    let mut parts = told.split_whitespace();
    let mut command = Command::new(parts.next().unwrap_or(env!("CARGO_BIN_EXE_inferd")));
    command.args(parts);
    command
}
