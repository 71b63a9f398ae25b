//! Fields of log lines: which stream, device or prediction a line is about.
//!
//! The lines themselves name it in words; the fields are for collectors of logs, which filter by
//! them (`inferd --log-format json`). They are set around the call of the `log` macro, on its
//! thread:
//!
//! ```
//! use inferd::log_fields;
//! log_fields::with(&[("stream", &"motion")], || log::warn!("stream motion: a gap"));
//! ```

use std::cell::RefCell;
use std::fmt::Display;

thread_local! {
    static FIELDS: RefCell<Vec<(&'static str, String)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `log`, whose lines have these fields. Fields of an outer call are not kept.
pub fn with(fields: &[(&'static str, &dyn Display)], log: impl FnOnce()) {
    set(fields.iter().map(|(name, value)| (*name, value.to_string())).collect());
    log();
    set(Vec::new());
}

fn set(fields: Vec<(&'static str, String)>) {
    // Within a logger that logs, the fields stay as they are.
    FIELDS.with(|current| current.try_borrow_mut().map(|mut it| *it = fields).unwrap_or_default());
}

/// Reads the fields of the line that this thread logs; there may be none.
pub fn read<T>(read: impl FnOnce(&[(&'static str, String)]) -> T) -> T {
    FIELDS.with(|current| match current.try_borrow() {
        Ok(fields) => read(&fields),
        Err(_) => read(&[]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_the_call_on_this_thread() {
        let count = || read(|fields| fields.len());
        with(&[("stream", &"s"), ("device", &7)], || {
            assert_eq!(
                read(|fields| fields.to_vec()),
                [("stream", "s".into()), ("device", "7".into())]
            );
            assert_eq!(std::thread::spawn(move || read(|fields| fields.len())).join().unwrap(), 0);
        });
        assert_eq!(count(), 0);
    }
}
