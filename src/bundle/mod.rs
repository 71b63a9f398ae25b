//! What a model promises (its card) and how that is proved (golden vectors).
//!
//! A bundle is a folder or one file: `card.toml`, the ONNX model, `golden.npz`. What changes when
//! a model is retrained lives here, so a new model can never meet the wrong preprocessing.

pub mod card;

use std::sync::Arc;

use crate::engine::Model;
use crate::ids::Digest;

/// A bundle that has proved itself: the card fits the model, and the golden vectors hold.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub card: Arc<card::Card>,
    pub model: Arc<Model>,
    /// Of the model file.
    pub digest: Digest,
}
