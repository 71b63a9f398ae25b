//! Notifications to systemd: ready, a status text, the watchdog, stopping.
//!
//! Without `NOTIFY_SOCKET` every call is a no-op.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service is ready: configuration and models are loaded, the workers run, and the broker has
/// granted the subscriptions or is unreachable. See [`super::readiness`].
pub(crate) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A line for `systemctl status`.
pub(crate) fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("stopping: draining and saving")]);
}

pub(crate) fn watchdog() {
    notify(&[NotifyState::Watchdog]);
}

/// How often the watchdog is notified: three times within the interval that the unit allows.
pub(crate) fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 3)
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::debug!("cannot notify the service manager: {error}");
    }
}
