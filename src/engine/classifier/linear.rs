//! `LinearClassifier`

use super::{Classifier, Form, Sums, Transform, floats, ids, transform};
use crate::engine::graph::Node;

pub(super) fn read(node: &Node) -> Result<Classifier, String> {
    let ids = ids(node, "classlabels_ints")?;
    let (coefficients, intercepts) = (floats(node, "coefficients"), floats(node, "intercepts"));
    let transform = transform(node)?;
    let rows = intercepts.len();
    let form = match (rows, ids.len(), transform) {
        (1, 2, Transform::Sigmoid) => Form::Logistic,
        (1, 2, _) => {
            return Err("it has one row of coefficients for two classes, and no agreed scores \
                        without post_transform LOGISTIC: export it with a row for each class"
                .into());
        }
        (rows, classes, transform) if rows == classes => Form::Each(transform),
        (rows, classes, _) => {
            return Err(format!("it has {rows} intercepts for {classes} classes"));
        }
    };
    if coefficients.is_empty() || !coefficients.len().is_multiple_of(rows) {
        return Err(format!("it has {} coefficients in {rows} rows", coefficients.len()));
    }
    Ok(Classifier { form, ids, sums: Sums::Linear { coefficients, intercepts } })
}
