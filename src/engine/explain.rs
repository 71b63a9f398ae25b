//! Which nodes run in integers, and why the others do not.

use super::graph::Node;

/// How many graph nodes run in integers and how many in float.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NodeCounts {
    pub integer: usize,
    pub float: usize,
}

/// How a node of the model is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Computed at load.
    Folded,
    Integer,
    Float {
        reason: String,
        /// The region of the float runtime it is in, where it is in one.
        region: Option<usize>,
    },
}

impl Fate {
    pub(super) fn float(reason: impl Into<String>) -> Self {
        Self::Float { reason: reason.into(), region: None }
    }
}

/// A node that runs in float.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FloatNode {
    pub node: String,
    pub operator: String,
    /// The region of the float runtime it is in; none where our own kernels run it.
    pub region: Option<usize>,
    pub reason: String,
}

/// Counts of nodes, and those that run in float.
pub(super) fn explain(nodes: &[Node], fates: &[Fate]) -> (NodeCounts, Vec<FloatNode>) {
    let mut counts = NodeCounts::default();
    let mut floats = Vec::new();
    for (node, fate) in nodes.iter().zip(fates) {
        match fate {
            Fate::Folded => {}
            Fate::Integer => counts.integer += 1,
            Fate::Float { reason, region } => {
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
