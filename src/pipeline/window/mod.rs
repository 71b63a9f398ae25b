//! The last samples of every device, and when they make a window.
//!
//! Every device has a ring of samples. The first window is complete with `length` samples, each
//! further one `hop` samples later. A silence longer than `max_gap` restarts the device's window,
//! and so does a device's clock that was set back ([`clock_order`]).
//! A message costs the same with ten devices as with a million: one look-up, one ring.

mod clock_order;
mod device;
mod devices;
mod ring;
#[cfg(test)]
mod tests;

pub(super) use device::{AddedSample, Device, micros};
pub(super) use devices::{Devices, ForgottenDevices};
pub(super) use ring::{Cells, SampleRing};
