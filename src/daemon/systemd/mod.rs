//! What the service manager is told, and when.

pub(crate) mod notify;
pub(crate) mod readiness;
