//! The interface of a model in the pipeline: it runs on tensors.

use crate::engine::{RunError, Session};
use crate::tensor::{Tensor, TensorSpec};

/// A model that can be run. Tests implement it with fakes.
pub trait Infer: Send + std::fmt::Debug {
    fn inputs(&self) -> &[TensorSpec];
    fn outputs(&self) -> &[TensorSpec];

    /// Runs once on tensors made for [`Infer::inputs`] and [`Infer::outputs`], in their order.
    ///
    /// # Errors
    /// This input cannot be run; the next one may succeed.
    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Tensor]) -> Result<(), RunError>;
}

impl Infer for Session {
    fn inputs(&self) -> &[TensorSpec] {
        self.model().inputs()
    }

    fn outputs(&self) -> &[TensorSpec] {
        self.model().outputs()
    }

    fn run(&mut self, inputs: &[Tensor], outputs: &mut [Tensor]) -> Result<(), RunError> {
        Self::run(self, inputs, outputs)
    }
}
