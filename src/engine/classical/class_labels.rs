//! The labels of a classifier's classes.

use crate::engine::graph::Node;

/// The most classes: a list of them is small.
const MAX_CLASSES: usize = 1 << 16;

/// The classes in the order of the scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum ClassLabels {
    Numbers(Vec<i64>),
    /// Texts; their label is the index.
    Texts(Vec<String>),
}

impl ClassLabels {
    /// The classes of a classifier whose numbers are in attribute `numbers`.
    ///
    /// # Errors
    /// Fewer than two classes.
    pub(super) fn of(node: &Node, numbers: &str) -> Result<Self, String> {
        let texts = node.texts("classlabels_strings").unwrap_or_default();
        let numbers = node.ints(numbers).unwrap_or_default();
        let labels = match (texts, numbers) {
            ([], numbers) => Self::Numbers(numbers.to_vec()),
            (texts, []) => Self::Texts(texts_of(texts)),
            _ => return Err("its classes are given as texts and as numbers".into()),
        };
        match labels.len() {
            2..=MAX_CLASSES => Ok(labels),
            count => Err(format!(
                "it has {count} classes; a classifier needs two, and at most {MAX_CLASSES}"
            )),
        }
    }

    pub(in crate::engine) fn len(&self) -> usize {
        match self {
            Self::Numbers(ids) => ids.len(),
            Self::Texts(names) => names.len(),
        }
    }

    /// The label of a class.
    pub(super) fn id(&self, class: usize) -> i64 {
        let index = || i64::try_from(class).unwrap_or_default();
        match self {
            Self::Numbers(ids) => ids.get(class).copied().unwrap_or_default(),
            Self::Texts(_) => index(),
        }
    }
}

/// Texts of a model; bytes that are not UTF-8 are replaced.
pub(super) fn texts_of(texts: &[Vec<u8>]) -> Vec<String> {
    texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}
