//! The last lines of the log, for those who cannot read the journal.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use log::{Level, Log, Metadata, Record};

use crate::clock::Timestamp;

/// Lines that are kept.
const MAX_LINES: usize = 200;
/// Bytes of a line that are kept.
const MAX_LINE_BYTES: usize = 500;

/// The process has one log, so it has one list of its last lines.
static LINES: Mutex<VecDeque<LogLine>> = Mutex::new(VecDeque::new());

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    pub(crate) time: Timestamp,
    pub(crate) level: Level,
    pub(crate) text: String,
}

/// The last lines of INFO and above, the oldest first.
pub(crate) fn last_lines() -> Vec<LogLine> {
    lines().iter().cloned().collect()
}

fn lines() -> MutexGuard<'static, VecDeque<LogLine>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(level: Level, mut text: String) {
    let end = (0..=MAX_LINE_BYTES.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
    let mut lines = lines();
    if lines.len() >= MAX_LINES {
        lines.pop_front();
    }
    lines.push_back(LogLine { time: Timestamp::from(SystemTime::now()), level, text });
}

/// A logger that keeps the last lines of INFO and above, beside writing them.
#[derive(Debug)]
pub(crate) struct KeepingLogger<L>(pub(crate) L);

impl<L: Log> Log for KeepingLogger<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if record.level() <= Level::Info && self.0.enabled(record.metadata()) {
            keep(record.level(), record.args().to_string());
        }
        self.0.log(record);
    }

    fn flush(&self) {
        self.0.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;

    impl Log for Silent {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() != "loud"
        }

        fn log(&self, _: &Record<'_>) {}

        fn flush(&self) {}
    }

    #[test]
    fn the_last_lines_are_kept_within_their_bounds() {
        let logger = KeepingLogger(Silent);
        let log = |target: &str, level, text: &str| {
            logger.log(
                &Record::builder().target(target).level(level).args(format_args!("{text}")).build(),
            );
        };
        (0..2 * MAX_LINES).for_each(|number| log("inferd", Level::Info, &number.to_string()));
        log("inferd", Level::Debug, "detail");
        log("loud", Level::Error, "of a library");
        log("inferd", Level::Error, &"é".repeat(MAX_LINE_BYTES));
        let lines = last_lines();
        assert_eq!(lines.len(), MAX_LINES);
        let last = lines.last().unwrap();
        assert_eq!((last.level, last.text.len()), (Level::Error, MAX_LINE_BYTES));
        assert_eq!(lines[lines.len() - 2].text, (2 * MAX_LINES - 1).to_string());
    }
}
