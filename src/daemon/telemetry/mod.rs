//! What the daemon publishes about itself: status, health, reports.

pub(crate) mod health;
pub(crate) mod health_monitor;
pub(crate) mod lost_results;
pub(crate) mod messages;
pub(crate) mod snapshot;
pub(crate) mod sync_rate;
pub(crate) mod topics;
