//! Workers under test without a broker.

mod journal;
pub(crate) mod swap;
