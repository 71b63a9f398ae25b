//! Failpoints: named places where a test aborts the process, as a power cut would.
//!
//! With `INFERD_CRASH_AT=appended:3`, the process aborts when it reaches the failpoint `appended`
//! for the third time. Failpoints exist only in builds with debug assertions; a release build has
//! neither the failpoints nor the variable.

/// Aborts the process if `INFERD_CRASH_AT` names this failpoint and its count is reached.
#[cfg(debug_assertions)]
pub(crate) fn point(place: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static AT: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let parse = || {
        let setting = std::env::var("INFERD_CRASH_AT").ok()?;
        let (place, count) = setting.split_once(':')?;
        Some((place.to_owned(), AtomicU32::new(count.parse().ok()?)))
    };
    if let Some((at, left)) = AT.get_or_init(parse)
        && at == place
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        log::info!("failpoint {place}: aborting");
        std::process::abort();
    }
}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_place: &str) {}
