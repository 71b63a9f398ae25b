//! The daemon and its local tools; see `inferd --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match inferd::cli::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report("inferd");
            ExitCode::from(failure.exit as u8)
        }
    }
}
