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
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_feature = "neon")]
    Neon,
    /// With the dot product of bytes (ARMv8.2 and later).
    #[cfg(target_arch = "aarch64")]
    NeonDot,
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
        #[cfg_attr(
            all(target_arch = "arm", not(target_feature = "neon")),
            expect(unused_mut, reason = "scalar code is all there is")
        )]
        let mut all = vec![Self::SCALAR];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            all.push(Self(Set::Avx2));
        }
        #[cfg(all(target_arch = "arm", target_feature = "neon"))]
        all.push(Self(Set::Neon));
        #[cfg(target_arch = "aarch64")]
        {
            all.push(Self(Set::Neon));
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                all.push(Self(Set::NeonDot));
            }
        }
        all
    }

    /// A short name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_feature = "neon")]
            Set::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Set::NeonDot => "neon-dot",
        }
    }

    /// Runs `f` compiled for this instruction set: plain loops over elements are written once and
    /// vectorised by the compiler. `f` must be marked `#[inline(always)]`.
    #[inline(always)]
    pub(super) fn run<R>(self, f: impl FnOnce() -> R) -> R {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this value exists only where AVX2 was detected.
            Set::Avx2 => unsafe { super::avx2::run(f) },
            // NEON, where there are kernels for it, is what all code is compiled for.
            _ => f(),
        }
    }

    /// Whether there is NEON to use.
    #[cfg(target_feature = "neon")]
    pub(super) fn has_neon(self) -> bool {
        self != Self::SCALAR
    }

    pub(super) fn set(self) -> Set {
        self.0
    }
}
