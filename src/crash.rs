//! Places at which a test ends the process as a power cut would: with `INFERD_CRASH_AT=appended:3`
//! it aborts when the place `appended` is reached for the third time.
//!
//! Only where debug assertions are on. A release build has neither the places nor the variable.

#[cfg(debug_assertions)]
pub(crate) fn point(place: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static AT: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let told = || {
        let told = std::env::var("INFERD_CRASH_AT").ok()?;
        let (place, count) = told.split_once(':')?;
        Some((place.to_owned(), AtomicU32::new(count.parse().ok()?)))
    };
    if let Some((at, left)) = AT.get_or_init(told)
        && at == place
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        log::info!("crashing at {place}, as I was told");
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn point(_place: &str) {}
