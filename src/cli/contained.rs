//! Models are loaded in a process with limits of memory and time.
//!
//! A model can be made to take all memory and never end, and the kernel then ends whatever it
//! chooses. `infer`, `bench`, `try` and `check` therefore run in a child process that limits itself
//! as the probe of candidates does, and this process explains how it ended. `run` has its models
//! loaded by a child once, and again when they or the program have changed.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit,
};

use crate::procfs;
use crate::terminal::{Exit, Failure};

/// The argument that a child is started with.
pub(super) const ARGUMENT: &str = "--contained";
/// Signals that a model can cause: faults, failed allocations, and the limits. A service manager may
/// forbid a child to limit itself (SIGSYS), which is no fault of the models.
const FAULTS: [i32; 7] = [4, 6, 7, 8, 9, 11, 24];
/// Processor time for loading models, in seconds.
const LOAD_SECONDS: u64 = 120;
/// A child may always have so much memory, in bytes: less would refuse models that fit.
const MIN_MEMORY: u64 = 128 << 20;

/// The memory that a child may take: three quarters of what is available, so that it fails before
/// the kernel has to choose a process to end.
fn memory_limit() -> Option<u64> {
    procfs::available_bytes().map(|available| (available / 4 * 3).max(MIN_MEMORY))
}

/// Runs the command of these arguments in a child that limits itself. None if no child can be
/// started; the command then runs here.
pub(super) fn run_in_child(args: &[OsString]) -> Option<Result<(), Failure>> {
    let status = child(args).status();
    match status {
        Ok(status) => Some(ended(status)),
        Err(error) => {
            log::debug!("the command runs without limits: {error}");
            None
        }
    }
}

/// Loads the models of a configuration in a child.
///
/// # Errors
/// A child that was ended by a limit. Models that are refused are reported when they are loaded
/// here.
pub(super) fn load_models(config: &Path) -> Result<(), Failure> {
    let args = ["inferd", "load-models", "--config"].map(OsString::from);
    let args = [args.as_slice(), &[config.as_os_str().to_owned()]].concat();
    let mut child = child(&args);
    child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match child.status() {
        Ok(status) if status.signal().is_some_and(|signal| FAULTS.contains(&signal)) => {
            ended(status)
        }
        Ok(_) => Ok(()),
        Err(error) => {
            log::debug!("models are loaded without limits: {error}");
            Ok(())
        }
    }
}

fn child(args: &[OsString]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    let mut args = args.iter();
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    command.arg(ARGUMENT).args(args);
    command
}

/// What became of a child.
fn ended(status: ExitStatus) -> Result<(), Failure> {
    let Some(signal) = status.signal() else {
        return match status.code().and_then(exit) {
            None if status.success() => Ok(()),
            known => Err(Failure::already_reported(known.unwrap_or(Exit::Internal))),
        };
    };
    let memory = memory_limit().map_or_else(String::new, |bytes| {
        format!(" (three quarters of what is available: {} MiB)", bytes >> 20)
    });
    let why = match signal {
        // A failed allocation aborts.
        6 => format!("it needs more memory than it may take{memory}"),
        9 => format!("it was killed, probably by the kernel for lack of memory{memory}"),
        24 => format!("loading it takes more than {LOAD_SECONDS} s of processor time"),
        // The command is to end for another reason.
        1 | 2 | 3 | 13 | 15 => return Err(Failure::already_reported(Exit::Failed)),
        other => format!("the process was ended by signal {other}, which is a bug"),
    };
    Err(Failure::new(Exit::Failed, format!("a model cannot be loaded or run here: {why}")))
}

fn exit(code: i32) -> Option<Exit> {
    let all =
        [Exit::Failed, Exit::Usage, Exit::Unavailable, Exit::Internal, Exit::Io, Exit::Config];
    all.into_iter().find(|exit| *exit as i32 == code)
}

/// Limits this process, which is a child. Called before a model is read.
pub(super) fn confine() {
    let limit = |resource, current: u64| {
        let maximum = getrlimit(resource).maximum;
        let current = maximum.map_or(current, |maximum| current.min(maximum));
        if let Err(error) = setrlimit(resource, Rlimit { current: Some(current), maximum }) {
            log::debug!("a limit cannot be set: {error}");
        }
    };
    if let Some(bytes) = memory_limit() {
        limit(Resource::Data, bytes);
    }
    limit(Resource::Cpu, LOAD_SECONDS);
    limit(Resource::Core, 0);
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        log::debug!("this process may outlive its parent: {error}");
    }
}

/// Ends the limit of time: the models are loaded, and runs may take as long as they do.
pub(super) fn loaded() {
    let maximum = getrlimit(Resource::Cpu).maximum;
    if let Err(error) = setrlimit(Resource::Cpu, Rlimit { current: maximum, maximum }) {
        log::debug!("the limit of time remains: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_ends_with_its_own_code_or_with_an_explanation() {
        let failure = |wait_status| ended(ExitStatus::from_raw(wait_status)).unwrap_err();
        assert!(ended(ExitStatus::from_raw(0)).is_ok());
        assert_eq!(failure(78 << 8).exit as u8, 78);
        assert_eq!(failure(101 << 8).exit as u8, 70);
        for (signal, part) in [(6, "more memory"), (9, "killed"), (24, "processor time")] {
            let text = format!("{:?}", failure(signal));
            assert!(text.contains(part), "{text}");
        }
    }
}
