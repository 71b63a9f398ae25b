//! Ensembles of decision trees in flat arrays.
//!
//! All nodes of an ensemble are in one array, the two children of a node side by side, so that a
//! step is one comparison and one addition. Eight trees are walked at a time: their loads overlap.

mod classifier;
mod ensemble;
mod indexed;
mod listed;
mod model;
mod table;
mod walk;

pub(in crate::engine) use classifier::Scores;
pub(super) use classifier::{Form, describe};
pub(super) use model::TreeModel;
