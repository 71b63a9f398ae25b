//! What a model promises (its card) and how that is proved (golden vectors).
//!
//! A bundle is a folder or one file: `card.toml`, the ONNX model, `golden.npz`. What changes when
//! a model is retrained lives here, so a new model can never meet the wrong preprocessing.

pub mod card;
