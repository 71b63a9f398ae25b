//! What the values of a payload stand for.

use super::super::field_tree::Node;

/// What the value at hand stands for.
#[derive(Clone, Copy)]
pub(in crate::pipeline::decode) enum Role<'t> {
    /// The payload.
    Top,
    /// The array of samples.
    Samples,
    /// The element at this place of an array that is a sample or holds samples.
    Element(usize),
    /// A number of a sample that comes by position.
    Position,
    /// A member that is wanted or holds wanted members.
    Member(&'t Node),
    /// A number of a field that is an array (whole inputs).
    Column(usize),
    /// A number of a field that is an array, with a number for each sample.
    Series(usize),
    /// A time of an array of times.
    TimeSeries,
    /// Nothing that is asked for.
    Other,
}

/// What the elements of an array are.
#[derive(Clone, Copy)]
pub(in crate::pipeline::decode) enum Within<'t> {
    /// The numbers of a sample, or samples: the first one tells.
    Array,
    /// The wanted ones are children of this node.
    Places(&'t Node),
    All(Role<'t>),
}
