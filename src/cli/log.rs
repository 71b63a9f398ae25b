//! Log lines, on standard error.
//!
//! The levels: ERROR something is lost or does not work, act now; WARN the daemon continues, look into
//! it soon; INFO normal operation, a few lines an hour; DEBUG and TRACE for troubleshooting.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::time::SystemTime;

use log::{Level, LevelFilter, Record};

use crate::clock::Timestamp;
use crate::log_fields;
use crate::log_lines::KeepingLogger;

/// Libraries that log at WARN and above.
const WARN_LIBRARIES: [&str; 5] = ["rumqttc", "sled", "rustls", "mio", "ureq"];
/// Logs at ERROR only: it warns of every operator set that is newer than its tests.
const ERROR_LIBRARY: &str = "tract";
/// Does not log: the embedded broker logs every packet as an error (rumqttd 0.20).
const SILENT_LIBRARY: &str = "rumqttd";

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Starts logging: at `level`, else as RUST_LOG sets it, else at `usual`.
pub(super) fn start(level: Option<LevelFilter>, usual: LevelFilter, format: LogFormat) {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(usual);
    for library in WARN_LIBRARIES {
        builder.filter_module(library, usual.min(LevelFilter::Warn));
    }
    builder.filter_module(ERROR_LIBRARY, usual.min(LevelFilter::Error));
    builder.filter_module(SILENT_LIBRARY, LevelFilter::Off);
    match level {
        Some(level) => _ = builder.filter_module("inferd", level),
        None => _ = builder.parse_env("RUST_LOG"),
    }
    let journal = journal_listens();
    if format == LogFormat::Json {
        builder.format(move |out, record| {
            if journal {
                write!(out, "<{}>", priority(record.level()))?;
            }
            let now = SystemTime::now().into();
            writeln!(out, "{}", log_fields::read(|fields| json(record, fields, now)))
        });
    } else if journal {
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
    let logger = builder.build();
    let level = logger.filter();
    if log::set_boxed_logger(Box::new(KeepingLogger(logger))).is_ok() {
        log::set_max_level(level);
    }
}

/// A line as JSON: `time`, `level`, `target`, `message`, then the fields.
fn json(record: &Record<'_>, fields: &[(&'static str, String)], now: Timestamp) -> String {
    let mut line = serde_json::Map::new();
    let mut set = |name: &str, value: String| _ = line.insert(name.to_owned(), value.into());
    set("time", now.to_string());
    set("level", record.level().as_str().to_ascii_lowercase());
    set("target", record.target().to_owned());
    set("message", record.args().to_string());
    fields.iter().for_each(|(name, value)| set(name, value.clone()));
    serde_json::Value::Object(line).to_string()
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

/// Whether standard error is the journal: JOURNAL_STREAM names that file (systemd.exec(5)). A shell
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
    fn a_line_of_json_has_its_fields_and_is_one_line() {
        let args = format_args!("input on \"a\"\nrejected");
        let record = Record::builder().level(Level::Warn).target("inferd::x").args(args).build();
        let fields = [("stream", "motion".to_owned()), ("topic", "a/b".to_owned())];
        let line = json(&record, &fields, Timestamp(0));
        assert!(!line.contains('\n'), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], "input on \"a\"\nrejected");
        assert_eq!((&read["level"], &read["stream"]), (&"warn".into(), &"motion".into()));
        assert_eq!((&read["target"], &read["topic"]), (&"inferd::x".into(), &"a/b".into()));
        assert!(read["time"].as_str().unwrap().starts_with("1970-01-01T00:00:00"));
    }

    #[test]
    fn what_asks_for_more_has_the_smaller_number() {
        let levels = [Level::Error, Level::Warn, Level::Info, Level::Debug];
        assert_eq!(levels.map(priority), [3, 4, 6, 7]);
    }
}
