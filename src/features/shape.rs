//! What goes into the blocks, and the shape of what comes out.

use std::fmt;

/// The series that the first block takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source {
    /// Samples of each channel.
    pub samples: usize,
    pub channels: usize,
    /// Samples per second.
    pub rate: Option<f64>,
    /// Samples between the starts of two windows; 0 where they do not overlap.
    pub hop: usize,
    /// The order of the axes of what comes out.
    pub order: AxisOrder,
}

/// The order of samples or frames, and of what they consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisOrder {
    /// All channels of a sample, all numbers of a frame.
    TimeFirst,
    /// All samples of a channel, one number of all frames.
    ChannelFirst,
}

/// The shape of what a list of blocks makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureShape {
    Series {
        samples: usize,
        channels: usize,
    },
    /// All features of a channel, then those of the next one.
    Vector {
        channels: usize,
        features: usize,
    },
    /// All frames of a channel, then those of the next one.
    Frames {
        channels: usize,
        frames: usize,
        width: usize,
    },
}

impl FeatureShape {
    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match *self {
            Self::Series { samples, channels } => samples.saturating_mul(channels),
            Self::Vector { channels, features } => channels.saturating_mul(features),
            Self::Frames { channels, frames, width } => {
                channels.saturating_mul(frames).saturating_mul(width)
            }
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The axes of a tensor that holds it.
    #[must_use]
    pub fn axes(&self, order: AxisOrder) -> Vec<usize> {
        let by_time = order == AxisOrder::TimeFirst;
        match *self {
            Self::Series { samples, channels } if by_time => vec![samples, channels],
            Self::Series { samples, channels } => vec![channels, samples],
            Self::Vector { channels, features } => vec![channels, features],
            Self::Frames { channels, frames, width } if by_time => vec![channels, frames, width],
            Self::Frames { channels, frames, width } => vec![channels, width, frames],
        }
    }

    /// Whether a tensor of this shape holds it in its order: it is flat, or its axes are the same but
    /// for those of length 1.
    #[must_use]
    pub fn fits(&self, shape: &[usize], order: AxisOrder) -> bool {
        let longer = |axes: &[usize]| axes.iter().copied().filter(|n| *n != 1).collect::<Vec<_>>();
        let elements = shape.iter().try_fold(1_usize, |product, axis| product.checked_mul(*axis));
        let (found, own) = (longer(shape), longer(&self.axes(order)));
        elements == Some(self.len()) && (found.len() <= 1 || found == own)
    }
}

impl fmt::Display for FeatureShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series { samples, channels } => {
                write!(f, "{samples} samples of {channels} channels")
            }
            Self::Vector { channels, features } => {
                write!(f, "{features} features of each of {channels} channels")
            }
            Self::Frames { channels, frames, width } => {
                write!(f, "{frames} frames of {width} numbers of each of {channels} channels")
            }
        }
    }
}

/// A block that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block {place} ({name}): {problem}")]
pub struct FeatureError {
    /// The place of the block in its list, from 0.
    pub place: usize,
    pub name: &'static str,
    pub problem: String,
}
