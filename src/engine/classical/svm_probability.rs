//! Probabilities of classes from the decisions between pairs of them: T.-F. Wu, C.-J. Lin and
//! R. C. Weng, "Probability Estimates for Multi-class Classification by Pairwise Coupling", JMLR 5
//! (2004), the second approach, as libsvm has it.

use super::scores::logistic;

/// The most steps of the iteration, as in libsvm.
const MAX_STEPS: usize = 100;

/// Writes a probability for each class. `decisions` and the parameters of their sigmoids are in the
/// order of pairs: 0 and 1, 0 and 2, …, 1 and 2, …
pub(super) fn of_classes(decisions: &[f32], sigmoids: &[(f32, f32)], p: &mut [f32]) {
    const MIN: f32 = 1e-7;
    let classes = p.len();
    let mut pairwise = Matrix::new(classes);
    let mut pairs = decisions.iter().zip(sigmoids);
    for i in 0..classes {
        for j in i + 1..classes {
            let Some((decision, (a, b))) = pairs.next() else { return };
            let first = (1.0 - logistic(decision * a + b)).clamp(MIN, 1.0 - MIN);
            pairwise.set(i, j, first);
            pairwise.set(j, i, 1.0 - first);
        }
    }
    couple(&pairwise, p);
}

/// A square matrix.
struct Matrix {
    size: usize,
    values: Vec<f32>,
}

impl Matrix {
    fn new(size: usize) -> Self {
        Self { size, values: vec![0.0; size * size] }
    }

    fn at(&self, row: usize, column: usize) -> f32 {
        self.values.get(row * self.size + column).copied().unwrap_or_default()
    }

    fn set(&mut self, row: usize, column: usize, value: f32) {
        if let Some(place) = self.values.get_mut(row * self.size + column) {
            *place = value;
        }
    }

    fn row(&self, row: usize) -> &[f32] {
        self.values.get(row * self.size..(row + 1) * self.size).unwrap_or_default()
    }
}

/// The probabilities that fit those of the pairs best.
fn couple(pairwise: &Matrix, p: &mut [f32]) {
    let classes = p.len();
    #[expect(clippy::cast_precision_loss, reason = "few classes")]
    let count = classes as f32;
    let mut q = Matrix::new(classes);
    for i in 0..classes {
        let square = |j: usize| pairwise.at(j, i) * pairwise.at(j, i);
        q.set(i, i, (0..classes).filter(|j| *j != i).map(square).sum());
        for j in (0..classes).filter(|j| *j != i) {
            q.set(i, j, -pairwise.at(j, i) * pairwise.at(i, j));
        }
    }
    p.fill(1.0 / count);
    let mut products = vec![0.0; classes];
    for _ in 0..MAX_STEPS {
        for (i, product) in products.iter_mut().enumerate() {
            *product = q.row(i).iter().zip(p.iter()).map(|(q, p)| q * p).sum();
        }
        let mut form: f32 = p.iter().zip(&products).map(|(p, product)| p * product).sum();
        let error = products.iter().map(|product| (product - form).abs()).fold(0.0, f32::max);
        if error < 0.005 / count {
            return;
        }
        for i in 0..classes {
            let (Some(product), Some(own)) = (products.get(i).copied(), p.get_mut(i)) else {
                return;
            };
            let difference = (form - product) / q.at(i, i);
            *own += difference;
            let grown = 1.0 + difference;
            form = (form + difference * (difference * q.at(i, i) + 2.0 * product)) / grown / grown;
            for ((product, p), q) in products.iter_mut().zip(p.iter_mut()).zip(q.row(i)) {
                *product = (*product + difference * q) / grown;
                *p /= grown;
            }
        }
    }
}
