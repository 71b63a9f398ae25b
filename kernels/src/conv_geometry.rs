//! The geometry of operators that slide a window over a picture: convolutions and pools.

/// The geometry of a window sliding over one NHWC picture.
///
/// Each pair is (height, width); a one-dimensional signal has height 1. Taps outside the input are
/// padding, so the padding below and right of the picture follows from `output`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    pub input: [usize; 2],
    pub channels: usize,
    pub output: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Padding above and left of the picture.
    pub pad: [usize; 2],
}

impl ConvGeometry {
    /// Returns the number of elements of the input picture.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    /// Returns the number of positions of the window.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Returns the number of taps of the window.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Returns the rows and columns that one window covers, holes of the dilation included.
    pub(super) fn extent(&self) -> [usize; 2] {
        [0, 1].map(|i| (self.kernel[i] - 1) * self.dilation[i] + 1)
    }

    /// Whether every output depends only on the input at its own position.
    pub(super) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1]
            && self.stride == [1, 1]
            && self.pad == [0, 0]
            && self.output == self.input
    }

    /// Whether no size is zero where zero is meaningless, and all counts fit 32 bits.
    pub(super) fn is_valid(&self) -> bool {
        let positive = [self.kernel, self.stride, self.dilation, self.output, self.input]
            .iter()
            .flatten()
            .all(|&v| v > 0 && v < 1 << 24);
        let staged = || {
            let [h, w] = [0, 1].map(|i| {
                let last = (self.output[i] - 1) as u64 * self.stride[i] as u64;
                last + (self.kernel[i] as u64 - 1) * self.dilation[i] as u64 + 1
            });
            h.saturating_mul(w).saturating_mul(self.channels as u64) < 1 << 31
        };
        let taps = self.kernel[0].checked_mul(self.kernel[1]);
        positive
            && self.channels > 0
            && taps.is_some_and(|t| t < 1 << 24)
            && self.pad.iter().all(|&p| p < 1 << 24)
            && staged()
    }
}
