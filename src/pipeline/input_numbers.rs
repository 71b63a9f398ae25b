//! The numbers that the elements of an input are made of: normalised samples, or their features.

use super::plan::InputPlan;
use super::reject::Reject;
use crate::features::FeatureBuffers;

/// The buffers of one input.
#[derive(Clone, Debug, Default)]
pub(super) struct InputNumbers {
    /// Normalised samples, where features are made of them.
    series: Vec<f64>,
    /// What is cast to elements.
    reals: Vec<f64>,
    features: FeatureBuffers,
}

impl InputNumbers {
    /// Where normalised samples are put.
    pub(super) fn normalized_mut(&mut self, plan: &InputPlan) -> &mut Vec<f64> {
        if plan.features.is_some() { &mut self.series } else { &mut self.reals }
    }

    /// The normalised samples.
    pub(super) fn normalized(&self, plan: &InputPlan) -> &[f64] {
        if plan.features.is_some() { &self.series } else { &self.reals }
    }

    /// What is cast to elements, in the order of the tensor.
    pub(super) fn reals(&self) -> &[f64] {
        &self.reals
    }

    /// Makes the features of the normalised samples, if there are some, and gives what is cast.
    ///
    /// # Errors
    /// A number is not finite.
    pub(super) fn featured(&mut self, plan: &InputPlan) -> Result<&mut [f64], Reject> {
        let Self { series, reals, features } = self;
        if let Some(blocks) = &plan.features {
            let field = || format!("a sample or a feature of input {}", plan.name);
            let made = blocks.run(series, features, reals);
            made.map_err(|_| Reject::NotFinite { field: field() })?;
        }
        Ok(reals)
    }
}
