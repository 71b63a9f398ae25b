//! `LinearClassifier` and `LinearRegressor`.

use super::class_labels::ClassLabels;
use super::numbers::Numbers;
use super::rows::Rows;
use super::scores::PostTransform;
use super::trees::{Form, Scores};
use crate::engine::graph::Node;
use crate::tensor::Data;

/// A sum of products for each row of coefficients.
#[derive(Debug)]
pub(super) struct LinearModel {
    coefficients: Vec<f32>,
    /// One for each row of coefficients.
    intercepts: Vec<f32>,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Targets(PostTransform),
    Classes(Form, ClassLabels),
}

impl LinearModel {
    /// The operator in `node` for rows of `columns` features.
    ///
    /// # Errors
    /// Lists of lengths that do not fit, combinations without an agreed meaning.
    pub(super) fn of(node: &Node, columns: usize) -> Result<Self, String> {
        let list = |name: &str| node.floats(name).unwrap_or_default().to_vec();
        let (coefficients, mut intercepts) = (list("coefficients"), list("intercepts"));
        let outcome = if node.op == "LinearClassifier" {
            let labels = ClassLabels::of(node, "classlabels_ints")?;
            Outcome::Classes(form(node, labels.len())?, labels)
        } else {
            let targets = node.int("targets").unwrap_or(1);
            let targets = usize::try_from(targets)
                .ok()
                .filter(|t| (1..=coefficients.len()).contains(t))
                .ok_or_else(|| format!("its targets = {targets} do not fit its coefficients"))?;
            if intercepts.is_empty() {
                intercepts = vec![0.0; targets];
            }
            if intercepts.len() != targets {
                let found = intercepts.len();
                return Err(format!("it has {found} intercepts for {targets} targets"));
            }
            let post = PostTransform::of(node)?;
            post.check_single(targets)?;
            Outcome::Targets(post)
        };
        if coefficients.len() != columns * intercepts.len() {
            return Err(format!(
                "it has {} coefficients in {} rows, and its input has {columns} features",
                coefficients.len(),
                intercepts.len()
            ));
        }
        Ok(Self { coefficients, intercepts, outcome })
    }

    pub(super) fn classes(&self) -> Option<usize> {
        match &self.outcome {
            Outcome::Classes(_, labels) => Some(labels.len()),
            Outcome::Targets(_) => None,
        }
    }

    pub(super) fn targets(&self) -> usize {
        self.intercepts.len()
    }

    pub(super) fn run(&self, input: Numbers<'_>, rows: Rows, outputs: &mut [Data]) {
        let input = input.floats();
        let input = input.chunks_exact(rows.columns);
        match (&self.outcome, outputs) {
            (Outcome::Targets(post), [Data::F32(targets)]) => {
                for (row, targets) in input.zip(targets.chunks_exact_mut(self.targets())) {
                    self.sums(row, targets);
                    post.apply(targets);
                }
            }
            (Outcome::Classes(form, labels), [Data::I64(label), Data::F32(scores)]) => {
                let mut sums = vec![0.0; self.targets()];
                let scores = scores.chunks_exact_mut(labels.len());
                for ((row, scores), label) in input.zip(scores).zip(label) {
                    self.sums(row, &mut sums);
                    let class = form.finish(sums.iter().map(|s| f64::from(*s)), scores);
                    *label = labels.id(class);
                }
            }
            _ => {}
        }
    }

    fn sums(&self, row: &[f32], sums: &mut [f32]) {
        let of = self.coefficients.chunks_exact(row.len()).zip(&self.intercepts);
        sums.iter_mut().zip(of).for_each(|(sum, (c, intercept))| *sum = dot(row, c) + intercept);
    }
}

/// The form of the scores.
fn form(node: &Node, classes: usize) -> Result<Form, String> {
    let rows = node.floats("intercepts").unwrap_or_default().len();
    match (rows, classes, PostTransform::of(node)?) {
        (1, 2, PostTransform::Logistic) => Ok(Form::Logistic),
        (1, 2, _) => Err("it has one row of coefficients for two classes, and no agreed scores \
                          without post_transform LOGISTIC: export it with a row for each class"
            .into()),
        (rows, classes, post) if rows == classes => Ok(Form::Each(post)),
        (rows, classes, _) => Err(format!("it has {rows} intercepts for {classes} classes")),
    }
}

/// The labels and the meaning of the scores of a `LinearClassifier`.
pub(super) fn describe(node: &Node) -> Result<(ClassLabels, Scores), String> {
    let labels = ClassLabels::of(node, "classlabels_ints")?;
    let scores = match form(node, labels.len())? {
        Form::Each(PostTransform::Softmax) => Scores::Softmax,
        Form::Each(PostTransform::Logistic) | Form::Logistic => Scores::Sigmoid,
        Form::Each(PostTransform::SoftmaxZero) => Scores::OtherThanLabel,
        Form::Each(PostTransform::Probit) => Scores::Unknown,
        _ => Scores::Sums,
    };
    Ok((labels, scores))
}

/// The sum of products, in eight partial sums.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    lanes(a, b, |x, y| x * y)
}

/// The sum of squared differences, in eight partial sums.
pub(super) fn square_distance(a: &[f32], b: &[f32]) -> f32 {
    lanes(a, b, |x, y| (x - y) * (x - y))
}

#[inline]
fn lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += term(*x, *y);
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(x, y)| term(*x, *y)).sum();
    sums.iter().sum::<f32>() + rest
}
