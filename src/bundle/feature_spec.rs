//! The features of an input: the blocks of a card with what they need to know.

use super::card::{InputSpec, WindowSpec};
use super::layout::{Layout, SeriesLayout};
use crate::features::{AxisOrder, FeatureBlock, FeatureError, FeaturePlan, Source};

/// `[[input.features]]`, with `rate` and `samples` of its input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureSpec {
    /// In their order; empty if samples go to the model as they are.
    pub blocks: Vec<FeatureBlock>,
    /// Samples per second.
    pub rate: Option<f64>,
    /// Samples of a whole input, where there is no window.
    pub samples: Option<usize>,
}

impl InputSpec {
    /// Channels of the series that features are made of: one if none is named.
    #[must_use]
    pub(crate) fn feature_channels(&self) -> usize {
        self.channels.len().max(1)
    }

    /// The blocks for the windows of the card; `None` if the input has none.
    ///
    /// # Errors
    /// The first block that does not fit.
    pub(crate) fn feature_plan(
        &self,
        window: Option<&WindowSpec>,
    ) -> Option<Result<FeaturePlan, FeatureError>> {
        if self.features.blocks.is_empty() {
            return None;
        }
        let source = Source {
            samples: window.map(|window| window.length).or(self.features.samples).unwrap_or(1),
            channels: self.feature_channels(),
            rate: self.features.rate,
            hop: window.map_or(0, |window| window.hop),
            order: match self.layout {
                Layout::Series(SeriesLayout::TimeChannel) => AxisOrder::TimeFirst,
                Layout::Series(SeriesLayout::ChannelTime) => AxisOrder::ChannelFirst,
            },
        };
        Some(FeaturePlan::new(&self.features.blocks, source))
    }
}

/// How features do not fit the shape of the model's input.
pub(crate) fn misfit(plan: &FeaturePlan, input: &str, shape: &[usize]) -> Option<String> {
    let (made, order) = (plan.shape(), plan.source().order);
    let axes = made.axes(order);
    (!made.fits(shape, order)).then(|| {
        format!(
            "the features of input {input:?} are {made}, {axes:?}, and the model takes {shape:?}"
        )
    })
}
