//! Typed arrays of CBOR.

use super::super::field_tree::{Node, Slot};
use super::{PayloadVisitor, Role};

impl PayloadVisitor<'_, '_> {
    /// Says that the array at hand is a typed one.
    pub(in crate::pipeline::decode) fn begin_typed_array(&mut self) {
        let of_samples = matches!(
            self.role,
            Role::Top | Role::Samples | Role::Member(Node { slot: Some(Slot::Samples), .. })
        );
        self.builder.set_typed_array(of_samples);
    }
}
