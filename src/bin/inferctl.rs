//! The operator's tool; see `inferctl --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match inferd::ctl::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report("inferctl");
            ExitCode::from(failure.exit as u8)
        }
    }
}
