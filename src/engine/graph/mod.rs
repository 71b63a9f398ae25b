//! The graph that front ends produce and the rest of the engine works on.
//!
//! Operators and attributes have the names that ONNX gives them; how a file stores them stays in
//! the front end.

mod element_type;
mod node;
mod tensor_data;
mod value_info;

pub(in crate::engine) use element_type::{ElementType, unsupported};
pub(in crate::engine) use node::{Attribute, AttributeValue, Graph, Node};
pub(in crate::engine) use tensor_data::{
    MAX_TENSOR_ELEMENTS, TensorData, element_count, integers, reals,
};
pub(in crate::engine) use value_info::{Dimension, OperatorSets, TensorType, ValueInfo};
