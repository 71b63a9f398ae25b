//! Timer slack for sled's threads.
//!
//! sled keeps seven threads that look once a second whether there is anything to write although they are woken for
//! that, and one that collects garbage: eight wake-ups a second of a processor that could sleep. Their number and
//! their second are fixed in sled. Linux lets a thread say how late its timers may fire (`timer_slack`, prctl(2)), and a
//! new thread takes that over from the one that starts it. Only the timers are late: a thread that is woken for
//! work wakes at once.

use std::time::Duration;

/// Does what starts threads, with `slack` for them; the caller's own is as before afterwards.
pub(super) fn with_timer_slack<T>(slack: Duration, start: impl FnOnce() -> T) -> T {
    let own = ask(libc::PR_GET_TIMERSLACK, 0);
    // Four seconds are the most that a 32-bit processor can say.
    set(libc::c_ulong::try_from(slack.as_nanos()).unwrap_or(libc::c_ulong::MAX));
    let started = start();
    // 0 would be the default of the thread's start.
    set(libc::c_ulong::try_from(own).unwrap_or(0));
    started
}

fn set(nanoseconds: libc::c_ulong) {
    if ask(libc::PR_SET_TIMERSLACK, nanoseconds) != 0 {
        log::trace!("this kernel has no timer slack");
    }
}

#[expect(unsafe_code, reason = "the standard library has no timer slack")]
fn ask(option: libc::c_int, value: libc::c_ulong) -> libc::c_int {
    // SAFETY: both options take a number and concern the calling thread only.
    unsafe { libc::prctl(option, value, 0, 0, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_takes_the_slack_over_and_the_caller_keeps_its_own() {
        let own = ask(libc::PR_GET_TIMERSLACK, 0);
        let slack = || ask(libc::PR_GET_TIMERSLACK, 0);
        let taken =
            with_timer_slack(Duration::from_secs(2), || std::thread::spawn(slack).join().unwrap());
        assert_eq!((taken, slack()), (2_000_000_000, own));
    }
}
