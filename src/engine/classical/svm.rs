//! `SVMClassifier` and `SVMRegressor`, in the order of computation of libsvm and ONNX Runtime.

use super::class_labels::ClassLabels;
use super::linear::{dot, square_distance};
use super::numbers::Numbers;
use super::rows::Rows;
use super::scores::{PostTransform, highest, logistic};
use super::svm_probability;
use super::trees::Scores;
use crate::engine::graph::Node;
use crate::tensor::Data;

/// The most classes of a classifier of support vectors: there is a classifier for each pair.
const MAX_CLASSES: usize = 256;

/// A kernel function with its parameters.
#[derive(Clone, Copy, Debug)]
enum Kernel {
    Linear,
    Poly { gamma: f32, offset: f32, degree: f32 },
    Rbf { gamma: f32 },
    Sigmoid { gamma: f32, offset: f32 },
}

impl Kernel {
    fn of(node: &Node) -> Result<Self, String> {
        let parameters = node.floats("kernel_params").unwrap_or_default();
        let name = node.text("kernel_type").unwrap_or("LINEAR");
        match (name, parameters) {
            ("LINEAR", _) => Ok(Self::Linear),
            ("POLY", &[gamma, offset, degree]) => Ok(Self::Poly { gamma, offset, degree }),
            ("RBF", &[gamma, _, _]) => Ok(Self::Rbf { gamma }),
            ("SIGMOID", &[gamma, offset, _]) => Ok(Self::Sigmoid { gamma, offset }),
            ("POLY" | "RBF" | "SIGMOID", other) => {
                Err(format!("its kernel_params {other:?} are not gamma, coef0 and degree"))
            }
            (other, _) => Err(format!("its kernel_type = {other:?} is unknown")),
        }
    }

    fn between(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Self::Linear => dot(a, b),
            Self::Rbf { gamma } => libm::expf(-gamma * square_distance(a, b)),
            Self::Sigmoid { gamma, offset } => libm::tanhf(gamma * dot(a, b) + offset),
            Self::Poly { gamma, offset, degree } => {
                let x = gamma * dot(a, b) + offset;
                match degree {
                    2.0 => x * x,
                    3.0 => x * x * x,
                    degree => libm::powf(x, degree),
                }
            }
        }
    }
}

/// Support vectors and the kernel.
#[derive(Debug)]
struct Machine {
    kernel: Kernel,
    vectors: Vec<f32>,
    coefficients: Vec<f32>,
    rho: Vec<f32>,
}

impl Machine {
    fn of(node: &Node, vectors: usize, columns: usize) -> Result<Self, String> {
        let list = |name: &str| node.floats(name).unwrap_or_default().to_vec();
        let machine = Self {
            kernel: Kernel::of(node)?,
            vectors: list("support_vectors"),
            coefficients: list("coefficients"),
            rho: list("rho"),
        };
        if vectors.checked_mul(columns) != Some(machine.vectors.len()) {
            return Err(format!(
                "it has {} numbers in {vectors} support vectors, and its input has {columns} \
                 features",
                machine.vectors.len()
            ));
        }
        Ok(machine)
    }

    /// The kernel between a row and every support vector.
    fn kernels(&self, row: &[f32], kernels: &mut Vec<f32>) {
        kernels.clear();
        let vectors = self.vectors.chunks_exact(row.len());
        kernels.extend(vectors.map(|vector| self.kernel.between(row, vector)));
    }
}

/// `SVMRegressor`; its result is the sign if it tells one class from the rest.
#[derive(Debug)]
pub(super) struct SvmRegressor {
    machine: Machine,
    one_class: bool,
}

impl SvmRegressor {
    pub(super) fn of(node: &Node, columns: usize) -> Result<Self, String> {
        let supports = node.int("n_supports").unwrap_or(0);
        let supports = usize::try_from(supports)
            .map_err(|_| format!("its n_supports = {supports} is negative"))?;
        let mut machine = Machine::of(node, supports, columns)?;
        let expected = if supports == 0 { columns } else { supports };
        if machine.coefficients.len() != expected || machine.rho.len() != 1 {
            return Err(format!(
                "it has {} coefficients and {} rho, not {expected} and 1",
                machine.coefficients.len(),
                machine.rho.len()
            ));
        }
        if supports == 0 {
            // The coefficients are the only support vector.
            machine.vectors = std::mem::replace(&mut machine.coefficients, vec![1.0]);
            machine.kernel = Kernel::Linear;
        }
        if PostTransform::of(node)? != PostTransform::None {
            return Err(
                "its post_transform is left out by ONNX Runtime, although ONNX defines it: \
                        export with post_transform NONE"
                    .into(),
            );
        }
        Ok(Self { machine, one_class: node.int("one_class").unwrap_or(0) != 0 })
    }

    pub(super) fn run(&self, input: Numbers<'_>, rows: Rows, outputs: &mut [Data]) {
        let [Data::F32(results)] = outputs else { return };
        let (input, mut kernels) = (input.floats(), Vec::new());
        let rho = self.machine.rho.first().copied().unwrap_or_default();
        for (row, result) in input.chunks_exact(rows.columns).zip(results) {
            self.machine.kernels(row, &mut kernels);
            let sum = dot(&kernels, &self.machine.coefficients) + rho;
            *result = match self.one_class {
                true if sum > 0.0 => 1.0,
                true => -1.0,
                false => sum,
            };
        }
    }
}

/// `SVMClassifier`
#[derive(Debug)]
pub(super) struct SvmClassifier {
    machine: Machine,
    /// First support vector of each class, and the number of all.
    starts: Vec<usize>,
    probabilities: Vec<(f32, f32)>,
    post: PostTransform,
    labels: ClassLabels,
}

impl SvmClassifier {
    pub(super) fn of(node: &Node, columns: usize) -> Result<Self, String> {
        let labels = ClassLabels::of(node, "classlabels_ints")?;
        let (classes, post) = (labels.len(), checked(node, labels.len())?);
        let mut starts = vec![0_usize];
        for count in node.ints("vectors_per_class").unwrap_or_default() {
            let before = starts.last().copied().unwrap_or_default();
            let next = usize::try_from(*count).ok().and_then(|count| before.checked_add(count));
            starts.push(next.ok_or_else(|| format!("a class has {count} support vectors"))?);
        }
        let vectors = starts.last().copied().unwrap_or_default();
        let linear = is_linear(node);
        if linear {
            starts.truncate(1);
        }
        let machine = Machine::of(node, vectors, columns)?;
        let pairs = classes * (classes - 1) / 2;
        let list = |name: &str| node.floats(name).unwrap_or_default();
        let (a, b) = (list("prob_a"), list("prob_b"));
        let wanted = if linear {
            [classes * columns, 1, 0, 0]
        } else {
            let of_pairs = if a.is_empty() { 0 } else { pairs };
            [(classes - 1).saturating_mul(vectors), pairs, of_pairs, of_pairs]
        };
        let found = [machine.coefficients.len(), machine.rho.len(), a.len(), b.len()];
        if found != wanted || (!linear && starts.len() != classes + 1) {
            return Err(format!(
                "it has {} lists of support vectors and, of coefficients, rho, prob_a and prob_b, \
                 {found:?} numbers; {classes} classes need {wanted:?}",
                starts.len() - 1
            ));
        }
        let probabilities = a.iter().copied().zip(b.iter().copied()).collect();
        Ok(Self { machine, starts, probabilities, post, labels })
    }

    /// The number of scores of a row.
    pub(super) fn scores(&self) -> usize {
        let classes = self.labels.len();
        let pairs = classes * (classes - 1) / 2;
        let of_pairs = self.starts.len() > 1 && self.probabilities.is_empty() && classes > 2;
        if of_pairs { pairs } else { classes }
    }

    pub(super) fn run(&self, input: Numbers<'_>, rows: Rows, outputs: &mut [Data]) {
        let [Data::I64(label), Data::F32(scores)] = outputs else { return };
        let input = input.floats();
        let scores = scores.chunks_exact_mut(self.scores());
        let mut work = Work::default();
        for ((row, scores), label) in input.chunks_exact(rows.columns).zip(scores).zip(label) {
            let class = if self.starts.len() > 1 {
                self.pairs(row, scores, &mut work)
            } else {
                self.linear(row, scores)
            };
            *label = self.labels.id(class);
        }
    }

    fn linear(&self, row: &[f32], scores: &mut [f32]) -> usize {
        let rho = self.machine.rho.first().copied().unwrap_or_default();
        let rows = self.machine.coefficients.chunks_exact(row.len());
        scores.iter_mut().zip(rows).for_each(|(score, c)| *score = dot(row, c) + rho);
        let class = highest(scores.iter().map(|s| f64::from(*s)));
        self.post.apply(scores);
        class
    }

    /// Votes of the classifiers of all pairs. The class with the most votes is the label.
    fn pairs(&self, row: &[f32], scores: &mut [f32], work: &mut Work) -> usize {
        self.machine.kernels(row, &mut work.kernels);
        let classes = self.labels.len();
        work.votes.clear();
        work.votes.resize(classes, 0);
        work.decisions.clear();
        let mut rho = self.machine.rho.iter();
        for i in 0..classes {
            for j in i + 1..classes {
                let sum =
                    self.weighted(j - 1, i, &work.kernels) + self.weighted(i, j, &work.kernels);
                let sum = sum + f64::from(rho.next().copied().unwrap_or_default());
                #[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
                work.decisions.push(sum as f32);
                if let Some(votes) = work.votes.get_mut(if sum > 0.0 { i } else { j }) {
                    *votes += 1;
                }
            }
        }
        self.finish(scores, work);
        highest(work.votes.iter().map(|v| f64::from(*v)))
    }

    /// The kernels of a class's support vectors, times their coefficients in a row.
    fn weighted(&self, row: usize, class: usize, kernels: &[f32]) -> f64 {
        let all = kernels.len();
        let start = self.starts.get(class).copied().unwrap_or_default();
        let end = self.starts.get(class + 1).copied().unwrap_or_default();
        let coefficients = self.machine.coefficients.get(row * all + start..row * all + end);
        let kernels = kernels.get(start..end).unwrap_or_default();
        let pairs = coefficients.unwrap_or_default().iter().zip(kernels);
        pairs.map(|(c, k)| f64::from(c * k)).sum()
    }

    fn finish(&self, scores: &mut [f32], work: &mut Work) {
        if !self.probabilities.is_empty() {
            svm_probability::of_classes(&work.decisions, &self.probabilities, scores);
            return self.post.apply(scores);
        }
        if let (&[s], [first, second]) = (work.decisions.as_slice(), &mut *scores) {
            // ONNX Runtime's scores of two classes are the other way round than its label.
            (*first, *second) = match self.post {
                PostTransform::Logistic => (1.0 - logistic(s), logistic(s)),
                _ => (-s, s),
            };
            return;
        }
        scores.copy_from_slice(&work.decisions);
        self.post.apply(scores);
    }
}

/// Memory that rows share.
#[derive(Default)]
struct Work {
    kernels: Vec<f32>,
    decisions: Vec<f32>,
    votes: Vec<u32>,
}

/// Whether the classifier has coefficients of the features, and no support vectors.
fn is_linear(node: &Node) -> bool {
    node.ints("vectors_per_class").unwrap_or_default().iter().all(|n| *n == 0)
}

fn has_probabilities(node: &Node) -> bool {
    node.floats("prob_a").is_some_and(|a| !a.is_empty())
}

/// The transform of the scores.
fn checked(node: &Node, classes: usize) -> Result<PostTransform, String> {
    if classes > MAX_CLASSES {
        return Err(format!("it has {classes} classes, more than {MAX_CLASSES}"));
    }
    let post = PostTransform::of(node)?;
    if classes == 2 && is_linear(node) {
        return Err(
            "its two classes without support vectors have no agreed label: export it as a \
                    linear classifier (LinearSVC, SGDClassifier)"
                .into(),
        );
    }
    let of_pair = classes == 2 && !has_probabilities(node);
    if of_pair && !matches!(post, PostTransform::None | PostTransform::Logistic) {
        return Err(format!("its two classes with post_transform {post:?} have no agreed scores"));
    }
    Ok(post)
}

/// The labels and the meaning of the scores of an `SVMClassifier`.
pub(super) fn describe(node: &Node) -> Result<(ClassLabels, Scores), String> {
    let labels = ClassLabels::of(node, "classlabels_ints")?;
    let classes = labels.len();
    let scores = match checked(node, classes)? {
        PostTransform::None if is_linear(node) => Scores::Sums,
        PostTransform::None if has_probabilities(node) => Scores::Votes,
        _ if classes == 2 && !has_probabilities(node) => Scores::OtherThanLabel,
        _ => Scores::Unknown,
    };
    Ok((labels, scores))
}
