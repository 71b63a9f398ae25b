//! Why an input was not taken: a stable code to count by, and a sentence for who must act.

use std::time::Duration;

use crate::tensor::Dtype;

/// A counted bad input. [`Reject::code`] is the name on the wire; the message says what is wrong,
/// where, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Reject {
    #[error("topic {topic:?}: {problem}; publish to a topic whose every level names something")]
    Topic { topic: String, problem: &'static str },
    #[error(
        "payload of {got} bytes, at most {max} are taken: send less at once or raise max_payload"
    )]
    TooLarge { got: usize, max: usize },
    #[error("byte {at} of the payload is not UTF-8: send text as UTF-8, or configure a raw format")]
    NotUtf8 { at: usize },
    #[error("payload is not {format}: {problem}")]
    Syntax { format: &'static str, problem: String },
    #[error("payload is nested deeper than {max} levels: send flat samples")]
    Nesting { max: usize },
    #[error("more than {max} samples in one message: split it")]
    TooManySamples { max: usize },
    #[error("{field} is missing: send it, or correct payload.fields (or .time, .samples)")]
    MissingField { field: String },
    #[error("{field} is {got}, not a number: send it unquoted")]
    NotANumber { field: String, got: String },
    #[error(
        "{field} is not finite in 32 bits (NaN, infinite or too large): leave such readings out"
    )]
    NotFinite { field: String },
    #[error("{what}: got {got}, the model takes {expected}")]
    WrongLength { what: &'static str, got: usize, expected: String },
    #[error(
        "{field} is {value}, but the model takes {dtype} as it is: send whole numbers in range"
    )]
    OutOfRange { field: String, value: f64, dtype: Dtype },
    #[error(
        "{field} is {got}, not a time: send RFC 3339 text or a number since 1970 (s, ms, us, ns)"
    )]
    BadTime { field: String, got: String },
    #[error(
        "sample is {age:?} old, max_age is {max:?}: check the device's clock and its buffering"
    )]
    Stale { age: Duration, max: Duration },
    #[error(
        "sample is {ahead:?} ahead of our clock, max_ahead is {max:?}: check the device's clock \
         and the gateway's"
    )]
    Future { ahead: Duration, max: Duration },
    #[error("sample is {by:?} older than the device's last one: send samples in order of time")]
    OutOfOrder { by: Duration },
    #[error("the model failed on this input: {problem}")]
    RunFailed { problem: String },
    #[error("output {output} of the model {problem}: check the model and its card")]
    BadOutput { output: String, problem: String },
}

impl Reject {
    /// Every code, in the order of [`Reject::index`].
    pub const CODES: [&'static str; 17] = [
        "topic",
        "too-large",
        "not-utf8",
        "syntax",
        "nesting",
        "too-many-samples",
        "missing-field",
        "not-a-number",
        "not-finite",
        "wrong-length",
        "out-of-range",
        "bad-time",
        "stale",
        "future",
        "out-of-order",
        "run-failed",
        "bad-output",
    ];

    /// The reject's place among [`Reject::CODES`], for an array of counters.
    #[must_use]
    pub fn index(&self) -> usize {
        match self {
            Self::Topic { .. } => 0,
            Self::TooLarge { .. } => 1,
            Self::NotUtf8 { .. } => 2,
            Self::Syntax { .. } => 3,
            Self::Nesting { .. } => 4,
            Self::TooManySamples { .. } => 5,
            Self::MissingField { .. } => 6,
            Self::NotANumber { .. } => 7,
            Self::NotFinite { .. } => 8,
            Self::WrongLength { .. } => 9,
            Self::OutOfRange { .. } => 10,
            Self::BadTime { .. } => 11,
            Self::Stale { .. } => 12,
            Self::Future { .. } => 13,
            Self::OutOfOrder { .. } => 14,
            Self::RunFailed { .. } => 15,
            Self::BadOutput { .. } => 16,
        }
    }

    /// Whether the model failed on a good input.
    #[must_use]
    pub fn is_of_model(&self) -> bool {
        matches!(self, Self::RunFailed { .. } | Self::BadOutput { .. })
    }

    /// The name that stays the same between versions, e.g. `missing-field`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        Self::CODES.get(self.index()).copied().unwrap_or("unknown")
    }
}
