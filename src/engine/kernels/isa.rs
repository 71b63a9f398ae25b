//! Which instruction set a kernel runs on.

/// An instruction set this machine has. Only detection makes one that is not [`Isa::SCALAR`], so a
/// value of this type is the proof that its instructions may be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Set);

/// The instruction sets there are kernels for on this architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// Plain Rust: the definition of every result.
    Scalar,
}

impl Isa {
    /// Plain Rust, the definition the others are held against.
    pub const SCALAR: Self = Self(Set::Scalar);

    /// The fastest this machine has.
    #[must_use]
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::SCALAR)
    }

    /// All that this machine has, the slowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        vec![Self::SCALAR]
    }

    /// A short name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Scalar => "scalar",
        }
    }

    /// Runs `f` compiled for this instruction set: plain loops over elements are written once and
    /// vectorised by the compiler. `f` must be marked `#[inline(always)]`.
    #[inline(always)]
    pub(super) fn run<R>(self, f: impl FnOnce() -> R) -> R {
        match self.0 {
            Set::Scalar => f(),
        }
    }

    pub(super) fn set(self) -> Set {
        self.0
    }
}
