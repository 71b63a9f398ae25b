//! The program under test: this build's, or another target's under its emulator.

use std::process::Command;

/// `inferd`, or what `INFERD_TEST_PROGRAM` says, such as
/// `qemu-aarch64-static target/board/aarch64/inferd` (parts between spaces, paths absolute).
///
/// `under` is another program that starts it, with its arguments; empty for none.
pub(crate) fn inferd(under: &[String]) -> Command {
    let told = std::env::var("INFERD_TEST_PROGRAM").unwrap_or_default();
    let mut program: Vec<&str> = told.split_whitespace().collect();
    if program.is_empty() {
        program.push(env!("CARGO_BIN_EXE_inferd"));
    }
    let mut parts = under.iter().map(String::as_str).chain(program);
    let mut command = Command::new(parts.next().expect("a program"));
    command.args(parts);
    command
}
