//! What the pipeline needs of the world: something that runs a model, and ids for predictions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::{RunError, Session};
use crate::ids::GatewayId;
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

/// Gives every prediction an id that is never given again: `gateway-boot-sequence`.
#[derive(Clone, Debug)]
pub struct Ids {
    prefix: Arc<str>,
    sequence: Arc<AtomicU64>,
}

impl Ids {
    /// `boot` must differ between two starts of the daemon; the sequence may be shared by workers.
    #[must_use]
    pub fn new(gateway: &GatewayId, boot: &str, sequence: Arc<AtomicU64>) -> Self {
        Self { prefix: format!("{gateway}-{boot}-").into(), sequence }
    }

    pub(super) fn next(&self) -> (&str, u64) {
        (&self.prefix, self.sequence.fetch_add(1, Ordering::Relaxed))
    }
}
