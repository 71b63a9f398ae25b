//! The labels of a classification whose card leaves them to the model.

use super::card::{Card, OutputKind};
use crate::engine::OutputFact;
use std::collections::BTreeSet;

/// The most labels that are listed if `top_k` is not given.
const TOP_K: usize = 5;

/// Fills in labels that the card leaves out with the names that the model gives its classes.
/// Returns why the labels of the card and of the model do not fit.
pub(super) fn complete(card: &mut Card, facts: &[OutputFact]) -> Option<String> {
    let OutputKind::Classification { labels, top_k, .. } = &mut card.output.kind else {
        return None;
    };
    let classes = facts.iter().map(|fact| &fact.classes).find(|classes| !classes.is_empty());
    if !labels.is_empty() {
        return classes.and_then(|classes| contradiction(labels, classes));
    }
    let Some(classes) = classes else {
        return Some(
            "output.labels is missing, and the model does not name its classes: a name for each \
             element of the output"
                .into(),
        );
    };
    let distinct: BTreeSet<&String> = classes.iter().collect();
    if distinct.len() != classes.len() || classes.iter().any(String::is_empty) {
        return Some(format!(
            "output.labels is missing, and the model's own names {classes:?} are not distinct"
        ));
    }
    labels.clone_from(classes);
    if *top_k == 0 {
        *top_k = labels.len().min(TOP_K);
    }
    (*top_k > labels.len()).then(|| {
        let (given, count) = (*top_k, labels.len());
        format!("output.top_k = {given} is more than the {count} labels of the model")
    })
}

/// Why the labels of the card cannot be right: they are the model's own in another order.
fn contradiction(labels: &[String], classes: &[String]) -> Option<String> {
    let same = |a: &[String], b: &[String]| {
        a.iter().collect::<BTreeSet<_>>() == b.iter().collect::<BTreeSet<_>>()
    };
    (labels != classes && same(labels, classes)).then(|| {
        format!(
            "output.labels are {labels:?}, and the model's classes are {classes:?} in this order: \
             write them in its order, or leave output.labels out"
        )
    })
}
