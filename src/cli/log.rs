//! Log lines, on standard error.
//!
//! What the levels ask of the operator: ERROR act now, something is lost or will not work; WARN look
//! into it soon, the daemon copes; INFO the events of a normal day, a few lines an hour; DEBUG and
//! TRACE are for finding faults.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use log::{Level, LevelFilter};

/// Libraries whose normal day is nobody's business.
const QUIET: [&str; 5] = ["rumqttc", "sled", "rustls", "mio", "ureq"];
/// Warns of every operator set newer than its tests; what it cannot run is refused, and says so.
const ANXIOUS: &str = "tract";
/// The embedded broker, which logs every packet as an error (0.20).
const SILENT: &str = "rumqttd";

/// Starts logging: `level`, else what RUST_LOG says, else `usual`.
pub(super) fn start(level: Option<LevelFilter>, usual: LevelFilter) {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(usual);
    for library in QUIET {
        builder.filter_module(library, usual.min(LevelFilter::Warn));
    }
    builder.filter_module(ANXIOUS, usual.min(LevelFilter::Error));
    builder.filter_module(SILENT, LevelFilter::Off);
    match level {
        Some(level) => _ = builder.filter_module("inferd", level),
        None => _ = builder.parse_env("RUST_LOG"),
    }
    if journal_listens() {
        // The journal has its own clock and names the program; it takes the priority from <N>.
        builder.format(|out, record| {
            let priority = priority(record.level());
            // A message of several lines is several entries, each with its own priority.
            record
                .args()
                .to_string()
                .lines()
                .try_for_each(|line| writeln!(out, "<{priority}>{line}"))
        });
    } else {
        builder.format_target(false);
    }
    // A second start, in a process that logs already, changes nothing.
    _ = builder.try_init();
}

/// The priorities of syslog(3), as sd-daemon(3) writes them.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Whether standard error is the journal: systemd says which file it is (systemd.exec(5)). A shell
/// started under a service inherits the variable but not the file.
fn journal_listens() -> bool {
    let Some((device, inode)) = std::env::var("JOURNAL_STREAM")
        .ok()
        .and_then(|stream| stream.split_once(':').map(|(d, i)| (d.to_owned(), i.to_owned())))
    else {
        return false;
    };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|stderr| device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_more_has_the_smaller_number() {
        let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug];
        assert_eq!(levels.map(priority), [3, 4, 6, 7]);
    }
}
