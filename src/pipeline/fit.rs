//! Whether a stream, a card and a model fit together, checked once before anything runs.

use crate::bundle::card::Card;
use crate::config::Stream;
use crate::tensor::TensorSpec;

/// Why a stream cannot feed its model; says which key of the stream or the card is at fault.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct FitError {
    /// `payload.fields`, `publish.min_score` … in the stream; `card: input.layout` … in the card.
    pub key: &'static str,
    pub problem: String,
}

/// Checks a stream's configuration against a card and a model's inputs and outputs.
///
/// # Errors
/// Everything that does not fit, at once.
pub fn fit(
    _stream: &Stream,
    _card: &Card,
    _inputs: &[TensorSpec],
    _outputs: &[TensorSpec],
) -> Result<(), Vec<FitError>> {
    Ok(())
}
