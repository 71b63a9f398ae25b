//! The instruction sets that kernels run on.

/// An instruction set of this machine.
///
/// Only detection creates values other than [`Isa::SCALAR`], so a value of this type proves that
/// its instructions may be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Set);

/// The instruction sets of this architecture that have kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// Plain Rust: the definition of every result.
    Scalar,
    /// With fused multiply-adds (FMA3), which every processor with AVX2 has but one.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_feature = "neon")]
    Neon,
    /// With the dot product of bytes (ARMv8.2 and later).
    #[cfg(target_arch = "aarch64")]
    NeonDot,
}

impl Isa {
    /// Plain Rust, the definition that the others are tested against.
    pub const SCALAR: Self = Self(Set::Scalar);

    /// Returns the fastest instruction set of this machine.
    #[must_use]
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::SCALAR)
    }

    /// Returns all instruction sets of this machine, the slowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[cfg_attr(
            all(target_arch = "arm", not(target_feature = "neon")),
            expect(unused_mut, reason = "scalar code is all there is")
        )]
        let mut all = vec![Self::SCALAR];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
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

    /// Returns a short name for reports.
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

    /// Whether a fused multiply-add is one instruction. Where it is not, float kernels give the same
    /// bits by a function call for each, which takes 10 to 50 times as long.
    #[must_use]
    pub fn has_fma(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => true,
            #[cfg(all(target_arch = "arm", target_feature = "neon"))]
            _ => super::vfp4::available(),
            #[cfg(not(all(target_arch = "arm", target_feature = "neon")))]
            _ => cfg!(any(target_arch = "aarch64", target_feature = "fma")),
        }
    }

    /// Runs `f` compiled for this instruction set, so that plain loops over elements are written
    /// once and vectorised by the compiler. `f` must be marked `#[inline(always)]`.
    #[inline(always)]
    pub(super) fn run<R>(self, f: impl FnOnce() -> R) -> R {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this value exists only where AVX2 and FMA were detected.
            Set::Avx2 => unsafe { run_with_avx2(f) },
            // If there are NEON kernels, all code is compiled for NEON anyway.
            _ => f(),
        }
    }

    /// Whether NEON kernels may run.
    #[cfg(target_feature = "neon")]
    pub(super) fn has_neon(self) -> bool {
        self != Self::SCALAR
    }

    pub(super) fn set(self) -> Set {
        self.0
    }
}

/// Runs `f` compiled with AVX2 and FMA; it must be `#[inline(always)]` to profit.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_with_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}
