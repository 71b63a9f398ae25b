//! Attributes of operators that slide a window: convolutions and pools.

use super::graph::Node;

/// Strides, dilations and padding, each for every spatial axis.
#[derive(Debug)]
pub(super) struct WindowAttributes {
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    padding: Padding,
}

#[derive(Debug)]
enum Padding {
    /// The padding before each axis, then the padding after each.
    Explicit(Vec<usize>),
    SameUpper,
    SameLower,
}

impl WindowAttributes {
    /// Reads the attributes for `axes` spatial axes.
    ///
    /// # Errors
    /// An attribute that does not fit the number of axes, or has impossible values.
    pub(super) fn read(node: &Node, axes: usize) -> Result<Self, String> {
        let read = |name: &str, len: usize, default: usize| match sizes(node, name)? {
            None => Ok(vec![default; len]),
            Some(sizes) if sizes.len() == len && !(default > 0 && sizes.contains(&0)) => Ok(sizes),
            Some(sizes) => Err(format!("its {name} are {sizes:?} for {axes} axes")),
        };
        let padding = match node.text("auto_pad").unwrap_or("NOTSET") {
            "NOTSET" | "" => Padding::Explicit(read("pads", 2 * axes, 0)?),
            "VALID" => Padding::Explicit(vec![0; 2 * axes]),
            "SAME_UPPER" => Padding::SameUpper,
            "SAME_LOWER" => Padding::SameLower,
            other => return Err(format!("its auto_pad is {other}")),
        };
        let (strides, dilations) = (read("strides", axes, 1)?, read("dilations", axes, 1)?);
        Ok(Self { strides, dilations, padding })
    }

    /// The number of input elements that a kernel of size `kernel` covers along an axis.
    pub(super) fn extent(&self, axis: usize, kernel: usize) -> usize {
        let dilation = self.dilations.get(axis).copied().unwrap_or(1);
        kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1)
    }

    /// The padding before and after an axis of size `input`.
    pub(super) fn padding(&self, axis: usize, input: usize, kernel: usize) -> (usize, usize) {
        let stride = self.strides.get(axis).copied().unwrap_or(1);
        let same = || {
            let covered = input.div_ceil(stride).saturating_sub(1).saturating_mul(stride);
            let total = covered.saturating_add(self.extent(axis, kernel)).saturating_sub(input);
            (total / 2, total - total / 2)
        };
        match &self.padding {
            Padding::Explicit(pads) => {
                let at = |i: usize| pads.get(i).copied().unwrap_or(0);
                (at(axis), at(axis + pads.len() / 2))
            }
            Padding::SameUpper => same(),
            Padding::SameLower => {
                let (smaller, larger) = same();
                (larger, smaller)
            }
        }
    }

    /// The size of the padded axis; none if the kernel does not fit into it.
    pub(super) fn padded(&self, axis: usize, input: usize, kernel: usize) -> Option<usize> {
        let (before, after) = self.padding(axis, input, kernel);
        let padded = input.saturating_add(before).saturating_add(after);
        let fits = input > 0 && kernel > 0 && padded >= self.extent(axis, kernel);
        fits.then_some(padded)
    }
}

/// The sizes in an attribute of the node; none if it is absent or empty.
///
/// # Errors
/// A negative size.
pub(super) fn sizes(node: &Node, name: &str) -> Result<Option<Vec<usize>>, String> {
    let Some(values) = node.ints(name).filter(|values| !values.is_empty()) else { return Ok(None) };
    let sizes = values.iter().map(|&v| usize::try_from(v)).collect::<Result<Vec<_>, _>>();
    sizes.map(Some).map_err(|_| format!("its {name} are {values:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::graph::Attribute;

    fn read(auto_pad: &str, pads: &[i64], stride: i64) -> Result<WindowAttributes, String> {
        let attributes = vec![
            Attribute::text("auto_pad", auto_pad),
            Attribute::ints("pads", pads.to_vec()),
            Attribute::ints("strides", vec![stride]),
        ];
        WindowAttributes::read(&Node { attributes, ..Node::default() }, 1)
    }

    #[test]
    fn padding_follows_auto_pad() {
        let padding = |auto_pad, pads: &[i64]| read(auto_pad, pads, 2).unwrap().padding(0, 5, 4);
        assert_eq!(padding("NOTSET", &[3, 1]), (3, 1));
        assert_eq!(padding("NOTSET", &[]), (0, 0));
        assert_eq!(padding("VALID", &[]), (0, 0));
        assert_eq!(padding("SAME_UPPER", &[]), (1, 2));
        assert_eq!(padding("SAME_LOWER", &[]), (2, 1));
    }

    #[test]
    fn a_kernel_fits_into_its_padded_input_or_not() {
        let window = read("NOTSET", &[0, 1], 1).unwrap();
        assert_eq!(window.padded(0, 5, 6), Some(6));
        assert_eq!(window.padded(0, 5, 7), None);
        assert_eq!(window.padded(0, 0, 1), None);
    }

    #[test]
    fn impossible_attributes_are_refused() {
        assert!(read("NOTSET", &[0, 1], 0).unwrap_err().contains("strides are [0]"));
        assert!(read("NOTSET", &[0, -1], 1).unwrap_err().contains("pads are [0, -1]"));
        assert!(read("NOTSET", &[0], 1).unwrap_err().contains("for 1 axes"));
    }
}
