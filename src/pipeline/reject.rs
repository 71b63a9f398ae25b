//! Why an input was not taken: a stable code to count by, and a sentence for who must act.

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::tensor::Dtype;

/// A counted bad input. [`Reject::code`] is the name on the wire; the message says what is wrong,
/// where, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Reject {
    #[error("topic {topic:?}: {problem}")]
    Topic { topic: String, problem: &'static str },
    #[error(
        "payload of {got} bytes, at most {max} are taken: send less at once or raise max_payload"
    )]
    TooLarge { got: usize, max: usize },
    #[error(
        "payload of more than {max} bytes after decompression: send less at once or raise \
         max_payload"
    )]
    InflatedTooLarge { max: usize },
    #[error("byte {at} of the payload is not UTF-8: {advice}")]
    NotUtf8 { at: usize, advice: &'static str },
    #[error("payload is not {format}: {problem}")]
    Syntax { format: &'static str, problem: String },
    #[error("payload is nested deeper than {max} levels: send flat samples")]
    Nesting { max: usize },
    #[error("more than {max} samples in one message: split it")]
    TooManySamples { max: usize },
    #[error("{}", missing(fields, option))]
    MissingField {
        fields: Vec<String>,
        /// The option that names them.
        option: &'static str,
    },
    #[error("{field} is {got}, not a number: {}", got.advice())]
    NotANumber { field: String, got: Got },
    #[error(
        "{field} is missing, and the device has sent no number of it for {hold:?} that could stand \
         for it (payload.hold): send it, or set another value of payload.missing"
    )]
    NothingHeld { field: String, hold: Duration },
    #[error("{field} is {got}, which cannot name a device: {problem}")]
    BadDevice { field: String, got: String, problem: &'static str },
    #[error(
        "{field} is not finite in 32 bits (NaN, infinite or too large): leave such readings out, \
         or set payload.missing"
    )]
    NotFinite { field: String },
    #[error("{what}: got {got}, the model takes {expected}{hint}")]
    WrongLength {
        what: &'static str,
        got: String,
        expected: String,
        /// More words, or none.
        hint: &'static str,
    },
    #[error("{field} is {value}, but the model takes it as {dtype}: send whole numbers in range")]
    OutOfRange { field: String, value: f64, dtype: Dtype },
    #[error("{field} is {got}, not a time: {advice}")]
    BadTime { field: String, got: String, advice: &'static str },
    #[error("{}", implausible(field, got, *at, *earliest))]
    ImplausibleTime { field: String, got: String, at: Timestamp, earliest: Timestamp },
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
    pub const CODES: [&'static str; 18] = [
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
        "bad-device",
    ];

    /// The reject's place among [`Reject::CODES`], for an array of counters.
    #[must_use]
    pub fn index(&self) -> usize {
        match self {
            Self::Topic { .. } => 0,
            Self::TooLarge { .. } | Self::InflatedTooLarge { .. } => 1,
            Self::NotUtf8 { .. } => 2,
            Self::Syntax { .. } => 3,
            Self::Nesting { .. } => 4,
            Self::TooManySamples { .. } => 5,
            Self::MissingField { .. } | Self::NothingHeld { .. } => 6,
            Self::NotANumber { .. } => 7,
            Self::NotFinite { .. } => 8,
            Self::WrongLength { .. } => 9,
            Self::OutOfRange { .. } => 10,
            Self::BadTime { .. } | Self::ImplausibleTime { .. } => 11,
            Self::Stale { .. } => 12,
            Self::Future { .. } => 13,
            Self::OutOfOrder { .. } => 14,
            Self::RunFailed { .. } => 15,
            Self::BadOutput { .. } => 16,
            Self::BadDevice { .. } => 17,
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

/// What is there in place of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    Null,
    /// As much of a text as a message needs.
    Text(String),
    Array,
    Object,
    /// A byte string of CBOR and the tag before it.
    Bytes {
        len: u64,
        tag: Option<u64>,
    },
}

impl Got {
    fn is_typed_array(&self) -> bool {
        // RFC 8746, section 2.
        matches!(self, Self::Bytes { tag: Some(64..=87), .. })
    }

    /// What to send instead.
    fn advice(&self) -> &'static str {
        match self {
            Self::Null => "send a number, or set payload.missing",
            Self::Text(text) if text.is_empty() => "send a number, or set payload.missing",
            Self::Text(text) if text.parse::<f64>().is_ok() => {
                "send it without quotes, or set payload.numbers = \"lenient\""
            }
            Self::Text(text) if has_decimal_comma(text) => {
                "send it with a decimal point, or set payload.numbers = \"lenient\""
            }
            Self::Text(text) if text.starts_with(['{', '[']) => {
                "send the value itself, not a text with JSON in it"
            }
            Self::Text(text) if has_unit(text) => {
                "send a number alone, or set payload.numbers = \"lenient\""
            }
            Self::Text(text) if are_several_numbers(text) => {
                "send a number alone; payload.delimiter names what separates the columns of CSV"
            }
            Self::Text(_) => {
                "send a number, or name the text in payload.words or payload.missing_values"
            }
            Self::Array => "send one number",
            Self::Object => "name the number in it in payload.fields, as in \"/field/value\"",
            Self::Bytes { .. } if self.is_typed_array() => {
                "send numbers of up to 64 bits, none cut off"
            }
            Self::Bytes { .. } => "send a number",
        }
    }
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Text(text) if text.is_empty() => f.write_str("an empty text"),
            Self::Text(text) => write!(f, "the text {text:?}"),
            Self::Array => f.write_str("an array"),
            Self::Object => f.write_str("an object"),
            Self::Bytes { len, .. } => {
                let s = if *len == 1 { "" } else { "s" };
                let kind = if self.is_typed_array() { "typed array" } else { "byte string" };
                write!(f, "a {kind} of {len} byte{s}")
            }
        }
    }
}

/// Whether a text is a number written as `21,5`.
pub(super) fn has_decimal_comma(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.trim().trim_start_matches(['-', '+']);
    unsigned.split_once(',').is_some_and(|(whole, part)| digits(whole) && digits(part))
}

/// Whether a text is one number and something behind it that may be its unit.
fn has_unit(text: &str) -> bool {
    let number = |c: char| c.is_ascii_digit() || "+-.,".contains(c);
    let unit = text.trim_start_matches(number);
    let has_digit = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.contains(|c: char| c.is_ascii_digit());
    let is_hex = text.starts_with("0x") || text.starts_with("0X");
    let is_unit = unit.trim_start().starts_with(|c: char| c.is_alphabetic() || "%°µ".contains(c))
        && !unit.contains(|c: char| c.is_ascii_digit());
    has_digit && (is_unit || is_hex)
}

/// Whether a text is numbers with a separator between them.
fn are_several_numbers(text: &str) -> bool {
    let parts = || text.split([';', '\t', ' ', ',', '|', '"']).filter(|part| !part.is_empty());
    parts().count() > 1 && parts().all(|part| part.parse::<f64>().is_ok())
}

fn missing(fields: &[String], option: &str) -> String {
    let (names, verb, them) = match fields {
        [one] => (one.clone(), "is", "it"),
        [more @ .., last] => (format!("{} and {last}", more.join(", ")), "are", "them"),
        [] => (String::new(), "is", "it"),
    };
    let or = if matches!(option, "payload.fields" | "payload.bytes.at") {
        ", or set payload.missing"
    } else {
        ""
    };
    format!("{names} {verb} missing: send {them}, or correct {option}{or}")
}

fn implausible(field: &str, got: &str, at: Timestamp, earliest: Timestamp) -> String {
    let advice = "set the device's clock, or leave payload.time out so that samples are dated by \
                  their arrival";
    if at < earliest {
        return format!(
            "{field} is {got}, as a time {at}, before payload.earliest ({earliest}): an uptime or \
             a clock that was not set cannot date a sample; {advice}; payload.clock = \"device\" \
             takes uptimes"
        );
    }
    format!(
        "{field} is {got}, as a time {at}, which no clock shows: send RFC 3339 text or a number \
         since 1970 (s, ms, us, ns); {advice}"
    )
}
