//! Why a stream cannot feed its model.

/// Why a stream cannot feed its model, with the key of the stream or the card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct CompatibilityError {
    /// `payload.fields`, `publish.min_score` … in the stream; `card: input.layout` … in the card.
    pub key: &'static str,
    pub problem: String,
}

/// Collects all problems.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<CompatibilityError>);

impl Problems {
    pub(super) fn add(&mut self, key: &'static str, problem: impl Into<String>) {
        self.0.push(CompatibilityError { key, problem: problem.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_errors(self) -> Vec<CompatibilityError> {
        self.0
    }
}
