//! What activations are staged as, and which kernel takes them: the one place that chooses by
//! instruction set among the products and the depthwise convolutions.
#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::depthwise::Filters;
use super::gemm::{self, Grid, Left, Place};
use super::isa::{Isa, Set};
#[cfg(target_feature = "neon")]
use super::neon;
use super::pack::View;
use super::requant::Out;
use super::scratch::{Plain, bytes_for};

/// An activation as a kernel reads it: the byte itself, or widened to 16 bits.
pub(super) trait Lane: Plain + From<i8> + Into<i32> {
    /// The input itself where nothing has to be widened.
    fn as_is(input: &[i8]) -> Option<&[Self]>;

    /// The sum of staged activations.
    #[inline(always)]
    fn sum(_: Isa, stage: &[Self]) -> i32 {
        stage.iter().map(|&a| a.into()).sum()
    }

    /// The product of staged rows and packed columns.
    fn gemm(isa: Isa, left: &Left<'_, Self>, right: &View<'_>, place: Place, out: &mut Out<'_>);

    /// A depthwise convolution of one staged band.
    fn depthwise(isa: Isa, job: &Sweep<'_, Self>, out: &mut Out<'_>);
}

/// Depthwise filters and the staged band they sweep over.
pub(super) struct Sweep<'a, T> {
    pub(super) filters: &'a Filters,
    /// The filters' weights, widened.
    pub(super) weights: &'a [i16],
    pub(super) stage: &'a [T],
    /// Where the windows start in the stage.
    pub(super) grid: Grid,
    /// What accumulation starts from, per channel.
    pub(super) start: &'a [i32],
    /// The first position's row in the output.
    pub(super) row: usize,
}

/// Whether activations are widened when they are staged for weights packed to this depth.
pub(super) fn widens(isa: Isa, depth: usize) -> bool {
    match (isa.set(), depth) {
        #[cfg(target_arch = "x86_64")]
        (Set::Avx2, 2) => true,
        _ => false,
    }
}

/// Scratch memory for `len` staged activations.
pub(super) fn staged_bytes(isa: Isa, depth: usize, len: usize) -> usize {
    if widens(isa, depth) { bytes_for::<i16>(len) } else { bytes_for::<i8>(len) }
}

/// How many consecutive weights of a column stand together: what one step of the product takes.
pub(super) fn depth(isa: Isa) -> usize {
    match isa.set() {
        Set::Scalar => 1,
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => 2,
        #[cfg(target_feature = "neon")]
        Set::Neon => 2,
        #[cfg(target_arch = "aarch64")]
        Set::NeonDot => 4,
    }
}

/// As [`depth`], for products of a single row.
pub(super) fn depth_of_one_row(isa: Isa) -> usize {
    match isa.set() {
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => 4,
        _ => depth(isa),
    }
}

impl Lane for i8 {
    #[inline(always)]
    fn as_is(input: &[i8]) -> Option<&[Self]> {
        Some(input)
    }

    #[cfg(target_feature = "neon")]
    #[inline(always)]
    fn sum(isa: Isa, stage: &[Self]) -> i32 {
        let (sum, rest) = if isa.has_neon() { neon::sum(stage) } else { (0, stage) };
        sum + rest.iter().map(|&a| i32::from(a)).sum::<i32>()
    }

    fn gemm(isa: Isa, left: &Left<'_, Self>, right: &View<'_>, place: Place, out: &mut Out<'_>) {
        match isa.set() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this value exists only where AVX2 was detected.
            Set::Avx2 => unsafe { avx2::vectors(left, right, place, out) },
            #[cfg(target_feature = "neon")]
            Set::Neon => neon::gemm(left, right, place, out),
            #[cfg(target_arch = "aarch64")]
            // SAFETY: this value exists only where the dot product was detected.
            Set::NeonDot => unsafe { neon::gemm_dot(left, right, place, out) },
            Set::Scalar => gemm::scalar(left, right, place, out),
        }
    }

    fn depthwise(isa: Isa, sweep: &Sweep<'_, Self>, out: &mut Out<'_>) {
        match isa.set() {
            #[cfg(target_arch = "aarch64")]
            Set::NeonDot => neon::depthwise(sweep, out),
            #[cfg(target_feature = "neon")]
            Set::Neon => neon::depthwise(sweep, out),
            _ => super::depthwise::scalar(sweep, out),
        }
    }
}

impl Lane for i16 {
    #[inline(always)]
    fn as_is(_: &[i8]) -> Option<&[Self]> {
        None
    }

    #[cfg(target_arch = "x86_64")]
    fn gemm(isa: Isa, left: &Left<'_, Self>, right: &View<'_>, place: Place, out: &mut Out<'_>) {
        assert_eq!(isa.set(), Set::Avx2);
        // SAFETY: this value exists only where AVX2 was detected.
        unsafe { avx2::gemm(left, right, place, out) };
    }

    #[cfg(target_arch = "x86_64")]
    fn depthwise(isa: Isa, sweep: &Sweep<'_, Self>, out: &mut Out<'_>) {
        assert_eq!(isa.set(), Set::Avx2);
        // SAFETY: this value exists only where AVX2 was detected.
        unsafe { avx2::depthwise(sweep, out) };
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn gemm(_: Isa, _: &Left<'_, Self>, _: &View<'_>, _: Place, _: &mut Out<'_>) {
        unreachable!("nothing widens here");
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn depthwise(_: Isa, _: &Sweep<'_, Self>, _: &mut Out<'_>) {
        unreachable!("nothing widens here");
    }
}
