//! Errors of signed documents.

/// Why a signed document was rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("the {what} has more than {max} bytes")]
    TooLarge { what: &'static str, max: usize },
    #[error("not a {what}: {why}")]
    Malformed { what: &'static str, why: String },
    #[error("not a {what}: its type is {found:?}, not {wanted:?}")]
    OtherType { what: &'static str, wanted: &'static str, found: String },
    #[error("the {what} has {signed} of the {threshold} {role} signatures it needs")]
    Threshold { what: &'static str, role: &'static str, signed: usize, threshold: usize },
    #[error("keyset {found} does not follow keyset {trusted}: publish all keysets in between")]
    Sequence { trusted: u64, found: u64 },
}
