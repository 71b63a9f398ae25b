//! Dispatch by instruction set: how activations are staged, and which kernel multiplies them.
//!
//! This is the one module that selects a kernel for products and depthwise convolutions. Kernels
//! are called once per tile and group, so the dispatch stays outside the inner loops.
#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::isa::{Isa, Set};
#[cfg(target_feature = "neon")]
use super::neon;
use super::operands::{Activation, DepthwiseJob, Grid, Left, OutputOffset, PackedView};
use super::requant::OutputBuffer;
use super::scalar;
use super::scratch::bytes_for;

/// The kernels for one type of staged activations.
pub(super) trait Kernels: Activation {
    /// Sums staged activations.
    #[inline(always)]
    fn sum(_: Isa, stage: &[Self]) -> i32 {
        stage.iter().map(|&a| a.into()).sum()
    }

    /// Multiplies staged rows by packed columns.
    fn gemm(
        isa: Isa,
        left: &Left<'_, Self>,
        right: &PackedView<'_>,
        output: OutputOffset,
        out: &mut OutputBuffer<'_>,
    );

    /// Runs a depthwise convolution of one staged tile.
    fn depthwise(isa: Isa, job: &DepthwiseJob<'_, Self>, out: &mut OutputBuffer<'_>);
}

/// Whether activations are widened when they are staged for weights packed in groups of this size.
pub(super) fn needs_widening(isa: Isa, group_size: usize) -> bool {
    match (isa.set(), group_size) {
        #[cfg(target_arch = "x86_64")]
        (Set::Avx2, 2) => true,
        _ => false,
    }
}

/// Scratch memory for `len` staged activations, in bytes.
pub(super) fn staged_bytes(isa: Isa, group_size: usize, len: usize) -> usize {
    if needs_widening(isa, group_size) { bytes_for::<i16>(len) } else { bytes_for::<i8>(len) }
}

/// Bytes of one staged activation of a convolution.
pub(super) fn staged_element_bytes(isa: Isa) -> usize {
    if needs_widening(isa, group_size(isa)) { size_of::<i16>() } else { size_of::<i8>() }
}

/// How many consecutive weights of a column are packed together: one step of the product.
pub(super) fn group_size(isa: Isa) -> usize {
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

/// The [`group_size`] for products of a single row.
pub(super) fn group_size_for_one_row(isa: Isa) -> usize {
    match isa.set() {
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => 4,
        _ => group_size(isa),
    }
}

/// Sums each row's activations: `starts` are those of its runs, each `len` long.
#[inline(always)]
pub(super) fn sum_rows<T: Kernels>(
    isa: Isa,
    stage: &[T],
    grid: &Grid,
    starts: &[u32],
    len: usize,
    sums: &mut [i32],
) {
    let mut bases = grid.bases();
    for sum in sums.iter_mut().take(grid.count) {
        let base = bases.step();
        let run = |&s: &u32| T::sum(isa, &stage[base + s as usize..][..len]);
        *sum = starts.iter().map(run).sum();
    }
}

impl Kernels for i8 {
    #[cfg(target_feature = "neon")]
    #[inline(always)]
    fn sum(isa: Isa, stage: &[Self]) -> i32 {
        let (sum, rest) = if isa.has_neon() { neon::sum(stage) } else { (0, stage) };
        sum + rest.iter().map(|&a| i32::from(a)).sum::<i32>()
    }

    fn gemm(
        isa: Isa,
        left: &Left<'_, Self>,
        right: &PackedView<'_>,
        output: OutputOffset,
        out: &mut OutputBuffer<'_>,
    ) {
        match isa.set() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this value exists only where AVX2 was detected.
            Set::Avx2 => unsafe { avx2::gemv(left, right, output, out) },
            #[cfg(target_feature = "neon")]
            Set::Neon => neon::gemm(left, right, output, out),
            #[cfg(target_arch = "aarch64")]
            // SAFETY: this value exists only where the dot product was detected.
            Set::NeonDot => unsafe { neon::gemm_dot(left, right, output, out) },
            Set::Scalar => scalar::gemm(left, right, output, out),
        }
    }

    fn depthwise(isa: Isa, job: &DepthwiseJob<'_, Self>, out: &mut OutputBuffer<'_>) {
        match isa.set() {
            #[cfg(target_arch = "aarch64")]
            Set::NeonDot => neon::depthwise(job, out),
            #[cfg(target_feature = "neon")]
            Set::Neon => neon::depthwise(job, out),
            _ => scalar::depthwise(job, out),
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl Kernels for i16 {
    fn gemm(
        isa: Isa,
        left: &Left<'_, Self>,
        right: &PackedView<'_>,
        output: OutputOffset,
        out: &mut OutputBuffer<'_>,
    ) {
        assert_eq!(isa.set(), Set::Avx2);
        // SAFETY: this value exists only where AVX2 was detected.
        unsafe { avx2::gemm(left, right, output, out) };
    }

    fn depthwise(isa: Isa, job: &DepthwiseJob<'_, Self>, out: &mut OutputBuffer<'_>) {
        assert_eq!(isa.set(), Set::Avx2);
        // SAFETY: this value exists only where AVX2 was detected.
        unsafe { avx2::depthwise(job, out) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Kernels for i16 {
    fn gemm(
        _: Isa,
        _: &Left<'_, Self>,
        _: &PackedView<'_>,
        _: OutputOffset,
        _: &mut OutputBuffer<'_>,
    ) {
        unreachable!("no kernel of this architecture widens activations");
    }

    fn depthwise(_: Isa, _: &DepthwiseJob<'_, Self>, _: &mut OutputBuffer<'_>) {
        unreachable!("no kernel of this architecture widens activations");
    }
}
