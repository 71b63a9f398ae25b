//! The machine in a world of data: a disk that survives, a network that may lie, and a plug that
//! can be pulled before any effect.

mod attacks;
mod local;
mod power;
mod ways;
mod world;

use super::super::tests::{Keys, deployment, key, keys, signed, time};
use super::super::{
    Deployment, Envelope, Keyset, Manifest, Source, Target, Trust, VersionSlot, assemble,
};
use super::*;
