//! The fused multiply-add of 32-bit ARM: VFPv4, which Cortex-A5, A7, A15 and later have, and
//! Cortex-A8 and A9 lack.
//!
//! Rust enables the instruction only for a whole program, so it is written as assembly behind a
//! check of the processor.
use std::arch::asm;
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether this processor has VFPv4: 0 before it was asked, 1 if not, 2 if it has.
static FOUND: AtomicU8 = AtomicU8::new(0);

/// Whether this processor has VFPv4.
#[inline(always)]
pub(super) fn available() -> bool {
    match FOUND.load(Ordering::Relaxed) {
        0 => detect(),
        found => found == 2,
    }
}

#[cold]
#[inline(never)]
fn detect() -> bool {
    let found = cfg!(target_feature = "vfp4") || hardware_capabilities() & HWCAP_VFPV4 != 0;
    FOUND.store(if found { 2 } else { 1 }, Ordering::Relaxed);
    found
}

/// `HWCAP_VFPv4` of Linux on 32-bit ARM.
const HWCAP_VFPV4: std::ffi::c_ulong = 1 << 16;

#[cfg(target_os = "linux")]
fn hardware_capabilities() -> std::ffi::c_ulong {
    const AT_HWCAP: std::ffi::c_ulong = 16;
    unsafe extern "C" {
        /// Of the C library: a value that the kernel passed to the program, or 0.
        safe fn getauxval(kind: std::ffi::c_ulong) -> std::ffi::c_ulong;
    }
    getauxval(AT_HWCAP)
}

#[cfg(not(target_os = "linux"))]
fn hardware_capabilities() -> std::ffi::c_ulong {
    0
}

/// Returns `a * b + c`, rounded once. Unlike NEON, VFP keeps subnormal numbers.
#[inline(always)]
pub(super) fn fma(a: f32, b: f32, c: f32) -> f32 {
    if !available() {
        return a.mul_add(b, c);
    }
    let mut sum = c;
    // SAFETY: the processor has the instruction.
    unsafe {
        asm!(
            ".fpu neon-vfpv4",
            "vfma.f32 {sum}, {a}, {b}",
            sum = inout(sreg) sum,
            a = in(sreg) a,
            b = in(sreg) b,
            options(pure, nomem, nostack),
        );
    }
    sum
}
