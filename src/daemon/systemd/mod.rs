//! Notifications to the service manager.

pub(crate) mod notify;
pub(crate) mod readiness;
