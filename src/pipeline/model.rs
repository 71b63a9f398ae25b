//! The model as the pipeline needs it: something that runs on tensors.

use crate::engine::{RunError, Session};
use crate::tensor::{Tensor, TensorSpec};

/// A model that can be run; tests bring fakes.
pub trait Infer: Send + std::fmt::Debug {
    fn inputs(&self) -> &[TensorSpec];
    fn outputs(&self) -> &[TensorSpec];

    /// Runs once on tensors made for [`Infer::inputs`] and [`Infer::outputs`], in their order.
    ///
    /// # Errors
    /// Whatever keeps this input from being run; the next one may well succeed.
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
