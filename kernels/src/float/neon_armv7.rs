//! Columns for 32-bit ARM with NEON and VFPv4.
//!
//! NEON on ARMv7 flushes subnormal numbers to zero, which would change bits. It records that it did
//! in two flags of FPSCR. They are cleared before a run and looked at afterwards: a result that
//! they touch is computed once more by VFP, which keeps subnormal numbers.
use super::columns::Columns;
use super::operands::{DepthwiseJob, Left, Output, PANEL, PackedView, Run};
use std::arch::asm;

/// The columns of a panel.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Panel([f32; PANEL]);

/// Multiplies rows by packed columns. Returns whether the results hold; otherwise subnormal numbers
/// occurred, and they are to be computed by other means.
///
/// # Panics
/// If an operand is shorter than the shapes require.
///
/// # Safety
/// The processor must have VFPv4.
pub(super) unsafe fn product(
    left: &Left<'_>,
    right: &PackedView<'_>,
    output: &mut Output<'_>,
) -> bool {
    clear_flags();
    // SAFETY: the caller's.
    unsafe { super::gemm::product::<Panel, Panel>(left, right, output) };
    !flushed()
}

/// Convolves one staged tile; returns as [`product`] does.
///
/// # Panics
/// If an operand is shorter than the shapes require.
///
/// # Safety
/// The processor must have VFPv4.
pub(super) unsafe fn depthwise(job: &DepthwiseJob<'_>, output: &mut Output<'_>) -> bool {
    clear_flags();
    // SAFETY: the caller's.
    unsafe { super::depthwise::depthwise::<Panel, Panel>(job, output) };
    !flushed()
}

/// Flags of FPSCR: a subnormal operand (IDC) or result (UFC).
const FLAGS: u32 = 1 << 7 | 1 << 3;

fn clear_flags() {
    // SAFETY: changes only the cumulative flags of exceptions.
    unsafe {
        asm!(
            "vmrs {t}, fpscr",
            "bic {t}, {t}, {flags}",
            "vmsr fpscr, {t}",
            t = out(reg) _,
            flags = const FLAGS,
            options(nostack),
        );
    }
}

fn flushed() -> bool {
    let status: u32;
    // SAFETY: reads a register.
    unsafe { asm!("vmrs {t}, fpscr", t = out(reg) status, options(nostack)) };
    status & FLAGS != 0
}

impl Columns for Panel {
    const WIDTH: usize = PANEL;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's.
        unsafe { Self(Columns::load(from)) }
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, n: usize) -> Self {
        // SAFETY: the caller's.
        unsafe { Self(Columns::load_part(from, n)) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; PANEL])
    }

    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { Self(self.0.fma(a.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller's.
        unsafe { Self(self.0.add(other.0)) }
    }

    #[inline(always)]
    unsafe fn bound(self, [low, high]: [Self; 2]) -> Self {
        // SAFETY: the caller's.
        unsafe { Self(self.0.bound([low.0, high.0])) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { self.0.store(to) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, n: usize) {
        // SAFETY: the caller's.
        unsafe { self.0.store_part(to, n) }
    }

    #[inline(always)]
    unsafe fn accumulate<const R: usize, const P: usize>(
        bases: &[*const f32; R],
        runs: &[Run],
        weights: [*const f32; P],
        mut acc: [[Self; P]; R],
    ) -> [[Self; P]; R] {
        for p in 0..P {
            for r in (0..R).step_by(2) {
                // The last row of an odd number is paired with itself.
                let other = (r + 1).min(R - 1);
                let mut pair = [acc[r][p], acc[other][p]];
                // SAFETY: the caller's.
                unsafe { two_rows([bases[r], bases[other]], runs, weights[p], &mut pair) };
                (acc[r][p], acc[other][p]) = (pair[0], pair[1]);
            }
        }
        acc
    }

    #[inline(always)]
    unsafe fn accumulate_taps<const P: usize>(
        bases: &[*const f32; P],
        taps: &[u32],
        weights: *const f32,
        stride: usize,
        mut acc: [Self; P],
    ) -> [Self; P] {
        for (acc, &base) in acc.iter_mut().zip(bases) {
            // SAFETY: the caller's.
            unsafe { add_taps(base, taps, weights, stride, acc) };
        }
        acc
    }
}

/// Adds the products of two rows and a panel.
///
/// # Safety
/// As [`Columns::accumulate`].
unsafe fn two_rows(
    bases: [*const f32; 2],
    runs: &[Run],
    mut weights: *const f32,
    acc: &mut [Panel; 2],
) {
    for run in runs.iter().filter(|run| run.len > 0) {
        // SAFETY: reads what the caller vouches for; writes the accumulators and the named
        // registers.
        unsafe {
            asm!(
                ".fpu neon-vfpv4",
                "mov {t}, {acc}",
                "vld1.32 {{d16-d19}}, [{t}]!",
                "vld1.32 {{d20-d23}}, [{t}]!",
                "vld1.32 {{d24-d27}}, [{t}]!",
                "vld1.32 {{d28-d31}}, [{t}]",
                "2:",
                "vld1.32 {{d0[], d1[]}}, [{a}]!",
                "vld1.32 {{d2[], d3[]}}, [{b}]!",
                "vld1.32 {{d4-d7}}, [{weights}]!",
                "vld1.32 {{d8-d11}}, [{weights}]!",
                "vfma.f32 q8, q2, q0",
                "vfma.f32 q9, q3, q0",
                "vfma.f32 q10, q4, q0",
                "vfma.f32 q11, q5, q0",
                "vfma.f32 q12, q2, q1",
                "vfma.f32 q13, q3, q1",
                "vfma.f32 q14, q4, q1",
                "vfma.f32 q15, q5, q1",
                "subs {count}, {count}, #1",
                "bne 2b",
                "vst1.32 {{d16-d19}}, [{acc}]!",
                "vst1.32 {{d20-d23}}, [{acc}]!",
                "vst1.32 {{d24-d27}}, [{acc}]!",
                "vst1.32 {{d28-d31}}, [{acc}]",
                acc = inout(reg) acc.as_mut_ptr() => _,
                a = inout(reg) bases[0].add(run.start as usize) => _,
                b = inout(reg) bases[1].add(run.start as usize) => _,
                weights = inout(reg) weights,
                count = inout(reg) run.len => _,
                t = out(reg) _,
                out("q0") _, out("q1") _, out("q2") _, out("q3") _, out("q4") _, out("q5") _,
                out("q8") _, out("q9") _, out("q10") _, out("q11") _, out("q12") _,
                out("q13") _, out("q14") _, out("q15") _,
                options(nostack),
            );
        }
    }
}

/// Adds the products of all taps of one position.
///
/// # Safety
/// As [`Columns::accumulate_taps`].
unsafe fn add_taps(
    base: *const f32,
    taps: &[u32],
    weights: *const f32,
    stride: usize,
    acc: &mut Panel,
) {
    if taps.is_empty() {
        return;
    }
    // SAFETY: reads what the caller vouches for; writes the accumulators and the named registers.
    unsafe {
        asm!(
            ".fpu neon-vfpv4",
            "vld1.32 {{d16-d19}}, [{acc}]!",
            "vld1.32 {{d20-d23}}, [{acc}]",
            "sub {acc}, {acc}, #32",
            "2:",
            "ldr {t}, [{taps}], #4",
            "add {t}, {base}, {t}, lsl #2",
            "vld1.32 {{d0-d3}}, [{t}]!",
            "vld1.32 {{d4-d7}}, [{t}]",
            "mov {t}, {weights}",
            "vld1.32 {{d8-d11}}, [{t}]!",
            "vld1.32 {{d24-d27}}, [{t}]",
            "add {weights}, {weights}, {stride}",
            "vfma.f32 q8, q0, q4",
            "vfma.f32 q9, q1, q5",
            "vfma.f32 q10, q2, q12",
            "vfma.f32 q11, q3, q13",
            "subs {count}, {count}, #1",
            "bne 2b",
            "vst1.32 {{d16-d19}}, [{acc}]!",
            "vst1.32 {{d20-d23}}, [{acc}]",
            acc = inout(reg) (acc as *mut Panel) => _,
            taps = inout(reg) taps.as_ptr() => _,
            count = inout(reg) taps.len() => _,
            weights = inout(reg) weights => _,
            stride = in(reg) stride * size_of::<f32>(),
            base = in(reg) base,
            t = out(reg) _,
            out("q0") _, out("q1") _, out("q2") _, out("q3") _, out("q4") _, out("q5") _,
            out("q8") _, out("q9") _, out("q10") _, out("q11") _, out("q12") _, out("q13") _,
            options(nostack),
        );
    }
}
