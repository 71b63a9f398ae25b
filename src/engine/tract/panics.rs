//! Panics of tract on graphs that it did not expect, which must not end the program.

use std::panic::{AssertUnwindSafe, catch_unwind};
use tract_onnx::prelude::TractResult;

/// Calls into tract. An error or a panic becomes its text.
pub(super) fn catch_panic<T>(f: impl FnOnce() -> TractResult<T>) -> Result<T, String> {
    hook::silence();
    let was = hook::CATCHING.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(f));
    hook::CATCHING.set(was);
    match outcome {
        Ok(result) => result.map_err(|e| format!("{e:#}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("it panicked: {}", text.unwrap_or("without a message")))
        }
    }
}

/// A panic that becomes a refusal is reported once, in the refusal, and not on standard error too.
mod hook {
    use std::cell::Cell;
    use std::panic;
    use std::sync::Once;

    thread_local! {
        /// Whether a panic of this thread is about to be caught.
        pub(super) static CATCHING: Cell<bool> = const { Cell::new(false) };
    }

    /// Installs a panic hook that is silent while a panic is about to be caught.
    pub(super) fn silence() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let usual = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if !CATCHING.get() {
                    usual(info);
                }
            }));
        });
    }
}
