//! Workers under test without a broker.

pub(crate) mod fixture;
mod journal;
mod swap;
