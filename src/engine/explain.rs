//! The placement of nodes: which run in integers, and why the others do not.

use super::graph::Node;

/// How many graph nodes run in integers and how many in float.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NodeCounts {
    pub integer: usize,
    pub float: usize,
}

/// The way a node of the model runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NodePlacement {
    /// Computed at load.
    Folded,
    Integer,
    Float {
        reason: String,
        /// The region of the float runtime that contains it, if any.
        region: Option<usize>,
    },
}

impl NodePlacement {
    pub(super) fn float(reason: impl Into<String>) -> Self {
        Self::Float { reason: reason.into(), region: None }
    }
}

/// A node that runs in float.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FloatNode {
    pub node: String,
    pub operator: String,
    /// The region of the float runtime that contains it; `None` if float kernels of inferd run it.
    pub region: Option<usize>,
    pub reason: String,
}

/// Counts the nodes and lists those that run in float.
pub(super) fn explain(
    nodes: &[Node],
    placements: &[NodePlacement],
) -> (NodeCounts, Vec<FloatNode>) {
    let mut counts = NodeCounts::default();
    let mut floats = Vec::new();
    for (node, placement) in nodes.iter().zip(placements) {
        match placement {
            NodePlacement::Folded => {}
            NodePlacement::Integer => counts.integer += 1,
            NodePlacement::Float { reason, region } => {
                counts.float += 1;
                floats.push(FloatNode {
                    node: node.label().to_owned(),
                    operator: node.operator(),
                    region: *region,
                    reason: reason.clone(),
                });
            }
        }
    }
    floats.sort_by_key(|f| f.region);
    (counts, floats)
}
