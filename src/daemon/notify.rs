//! What systemd is told: ready, the state in words, the watchdog, stopping.
//!
//! Without `NOTIFY_SOCKET` every call is a no-op; a socket that does not answer is logged once.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service is up: configuration and models are loaded, the workers run, and the broker takes
/// our subscriptions or is away. See [`super::opening`].
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A line for `systemctl status`.
pub(crate) fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: draining and saving")]);
}

pub(crate) fn watchdog() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the watchdog wants to hear from us: a third of what the unit allows.
pub(crate) fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 3)
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::debug!("the service manager does not listen: {error}");
    }
}
