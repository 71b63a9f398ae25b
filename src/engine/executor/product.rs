//! Execution of products.

use super::Executor;
use crate::engine::plan::{Epilogue, Kernel, Product, Step};
use inferd_kernels::{OutputBuffer, Scale, Scratch, clamp, mul_scalar};

impl Executor<'_> {
    /// Runs a product into the buffer that its epilogue writes.
    pub(super) fn product(
        &mut self,
        product: &Product,
        step: &Step,
        bytes: Option<&mut [i8]>,
        floats: Option<&mut [f32]>,
    ) {
        let slot = product.slot.map(|s| self.state.dynamic_ranges[s]);
        let mut scratch = std::mem::replace(&mut self.state.scratch, Scratch::with_bytes(0));
        let mut row = std::mem::take(&mut self.state.scales);
        let from = self.bytes(step.from[0]);
        let right = step.from.get(1).map(|&s| self.bytes(s));
        let job = Job { product, zero: slot.map(|s| s.1), from, right };
        match (&product.epilogue, bytes, floats) {
            (Epilogue::Bytes(requant), Some(to), _) => {
                for (i, to) in to.chunks_exact_mut(step.to.len / product.batch).enumerate() {
                    job.run(i, OutputBuffer::S8(to, requant), &mut scratch);
                }
            }
            (Epilogue::Float { scales, bias, clamp: bounds }, _, Some(to)) => {
                let scale = match slot {
                    None => scales,
                    Some((scale, _)) => {
                        let row = &mut row[..scales.len()];
                        mul_scalar(self.plan.isa, scale, scales, row);
                        &*row
                    }
                };
                let bias = bias.as_deref();
                for (i, to) in to.chunks_exact_mut(step.to.len / product.batch).enumerate() {
                    job.run(i, OutputBuffer::F32(to, Scale { scale, bias }), &mut scratch);
                }
                if let Some((low, high)) = bounds {
                    clamp(self.plan.isa, to, *low, *high);
                }
            }
            _ => unreachable!("the epilogue determines the buffer"),
        }
        self.state.scratch = scratch;
        self.state.scales = row;
    }
}

/// A product with its operands.
struct Job<'a> {
    product: &'a Product,
    /// The input's zero point if it was measured at run time.
    zero: Option<i8>,
    from: &'a [i8],
    right: Option<&'a [i8]>,
}

impl Job<'_> {
    /// Runs part `i` of the batch.
    fn run(&self, i: usize, out: OutputBuffer<'_>, scratch: &mut Scratch) {
        let batch = self.product.batch;
        let part = |whole: &[i8]| {
            let len = whole.len() / batch;
            i * len..(i + 1) * len
        };
        let from = &self.from[part(self.from)];
        match &self.product.kernel {
            Kernel::Dense { dense, rows } => dense.run(self.zero, *rows, from, out, scratch),
            Kernel::Conv(conv) => conv.run(self.zero, from, out, scratch),
            Kernel::Depthwise(conv) => conv.run(self.zero, from, out, scratch),
            Kernel::Matmul { matmul, zeros } => {
                let right = self.right.unwrap_or_default();
                matmul.run(from, &right[part(right)], *zeros, out, scratch);
            }
        }
    }
}
