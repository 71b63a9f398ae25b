//! The models of the streams: which version is active, and how it is changed.

pub(crate) mod active;
pub(crate) mod registry;
pub(crate) mod switcher;
pub(crate) mod update_status;
