//! How the elements of an input are laid out, and whether a tensor's shape has that layout.

/// What the axes of an input mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Samples of channels: a window, or a whole input of one sample or more.
    Series(SeriesLayout),
}

/// The order of the two axes of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesLayout {
    /// All channels of a sample, then the next sample.
    TimeChannel,
    /// All samples of a channel, then the next channel.
    ChannelTime,
}

/// How the shape of a tensor agrees with a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShapeFit {
    /// The shape has the layout, or holds as many elements and does not tell their order.
    Fits,
    /// Another number of elements.
    WrongCount,
    /// The axes are in the order of the other layout.
    Reversed,
    /// Two axes of other lengths.
    Different,
}

impl Layout {
    pub const TIME_CHANNEL: Self = Self::Series(SeriesLayout::TimeChannel);
    pub const CHANNEL_TIME: Self = Self::Series(SeriesLayout::ChannelTime);

    /// The layouts by their names in cards.
    pub(crate) const NAMES: [(&str, Self); 2] =
        [("time-channel", Self::TIME_CHANNEL), ("channel-time", Self::CHANNEL_TIME)];

    /// The name in cards.
    #[must_use]
    pub fn name(self) -> &'static str {
        let Self::Series(order) = self;
        order.name()
    }
}

impl SeriesLayout {
    /// The name in cards.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TimeChannel => "time-channel",
            Self::ChannelTime => "channel-time",
        }
    }

    /// The order with the axes exchanged.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::TimeChannel => Self::ChannelTime,
            Self::ChannelTime => Self::TimeChannel,
        }
    }

    /// The lengths of the axes in their order.
    pub(crate) fn axes(self, samples: usize, channels: usize) -> [usize; 2] {
        match self {
            Self::TimeChannel => [samples, channels],
            Self::ChannelTime => [channels, samples],
        }
    }

    /// How a tensor of this shape agrees with `samples` samples of `channels` channels. Axes of
    /// length 1 (a batch, a width) may be anywhere, and a flat tensor fits either order.
    pub(crate) fn fit(self, shape: &[usize], samples: usize, channels: usize) -> ShapeFit {
        let elements = shape.iter().try_fold(1_usize, |product, axis| product.checked_mul(*axis));
        if samples.checked_mul(channels) != elements {
            return ShapeFit::WrongCount;
        }
        let axes: Vec<usize> = shape.iter().copied().filter(|&axis| axis != 1).collect();
        let order = self.axes(samples, channels);
        if axes.len() != 2 || order.contains(&1) || axes == order {
            ShapeFit::Fits
        } else if axes == self.reversed().axes(samples, channels) {
            ShapeFit::Reversed
        } else {
            ShapeFit::Different
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_has_a_layout_or_says_how_it_differs() {
        let table: [(&[usize], ShapeFit); 9] = [
            (&[1, 8, 3], ShapeFit::Fits),
            (&[8, 1, 3], ShapeFit::Fits),
            (&[24], ShapeFit::Fits),
            (&[2, 4, 3], ShapeFit::Fits),
            (&[1, 3, 8], ShapeFit::Reversed),
            (&[6, 4], ShapeFit::Different),
            (&[8, 4], ShapeFit::WrongCount),
            (&[], ShapeFit::WrongCount),
            (&[usize::MAX, 2], ShapeFit::WrongCount),
        ];
        for (shape, expected) in table {
            assert_eq!(SeriesLayout::TimeChannel.fit(shape, 8, 3), expected, "{shape:?}");
            // The same samples and channels in the other order.
            assert_eq!(SeriesLayout::ChannelTime.fit(shape, 3, 8), expected, "{shape:?}");
        }
        assert_eq!(SeriesLayout::TimeChannel.fit(&[3, 3], 3, 3), ShapeFit::Fits);
        assert_eq!(SeriesLayout::TimeChannel.fit(&[1, 5], 5, 1), ShapeFit::Fits);
        assert_eq!(SeriesLayout::TimeChannel.fit(&[], 1, 1), ShapeFit::Fits);
    }
}
