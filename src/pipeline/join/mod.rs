//! Values that arrive in messages of their own, joined to samples per device.
//!
//! A value belongs to a channel, which the topic or the field names. [`JoinState`] is what is
//! remembered of a device: the last value of each channel, or, with a grid, the values around the
//! points that are not decided yet. [`JoinState::add`] takes values and gives the samples that they
//! complete. It has no clock: samples are made when values come. The same values in the same order
//! give the same samples, so the journal has the values.
//!
//! With a grid the result is that of pandas' `merge_asof` for each channel, with `hold` as its
//! tolerance; a test compares the two.

mod grid;
mod latest;
mod order;
mod plan;
mod process;
mod rows;
mod source;
mod state;
#[cfg(test)]
mod tests;

pub(super) use plan::{JoinPlan, row_gap};
pub(super) use rows::{ChannelValues, JoinedRows};
pub(super) use source::Join;
pub(super) use state::JoinState;
