//! Functions of two operands, with broadcasting.
use super::super::isa::Isa;
use super::super::strided::StridedView;
use super::activation::{Activation, bound};
use super::pow::pow;
use super::reduce::{largest, smallest};

/// A function of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    /// NaN if one is NaN.
    Min,
    /// NaN if one is NaN.
    Max,
    /// a^b, in double precision and rounded once.
    Pow,
    /// a, or below zero a * b.
    PRelu,
}

/// A function of two operands over a box of elements, each operand with its own start and strides.
#[derive(Clone, Debug)]
pub struct Binary {
    isa: Isa,
    op: BinaryOp,
    bounds: [f32; 2],
    /// Outermost first; the result is dense in this order.
    axes: Vec<Axis>,
    starts: [usize; 2],
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Axis {
    size: usize,
    /// Elements to the next along this axis in each operand; zero repeats one.
    steps: [isize; 2],
}

impl Binary {
    /// Plans the operation. The result is dense in the order of `shape`; a stride of zero
    /// broadcasts.
    ///
    /// # Panics
    /// If the strides are fewer than the sizes.
    #[must_use]
    pub fn new(
        isa: Isa,
        op: BinaryOp,
        activation: Activation,
        shape: &[usize],
        operands: [&StridedView; 2],
    ) -> Self {
        assert!(operands.iter().all(|o| o.strides.len() == shape.len()), "one stride per axis");
        let mut axes: Vec<Axis> = Vec::new();
        for (i, &size) in shape.iter().enumerate().filter(|(_, size)| **size != 1) {
            let axis = Axis { size, steps: operands.map(|o| o.strides[i]) };
            match axes.last_mut() {
                Some(outer) if joins(*outer, axis) => {
                    *outer = Axis { size: outer.size * size, steps: axis.steps };
                }
                _ => axes.push(axis),
            }
        }
        if axes.is_empty() {
            axes.push(Axis { size: 1, steps: [1, 1] });
        }
        let (starts, len) = (operands.map(|o| o.start), shape.iter().product());
        Self { isa, op, bounds: activation.bounds(), axes, starts, len }
    }

    /// Plans the operation on two dense operands of `len` elements.
    #[must_use]
    pub fn dense(isa: Isa, op: BinaryOp, activation: Activation, len: usize) -> Self {
        let view = StridedView { start: 0, strides: vec![1] };
        Self::new(isa, op, activation, &[len], [&view, &view])
    }

    /// Returns the number of elements of the result.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.len
    }

    /// Computes the result.
    ///
    /// # Panics
    /// If the result has the wrong length, or an operand is shorter than its strides require.
    #[inline(never)]
    pub fn run(&self, a: &[f32], b: &[f32], out: &mut [f32]) {
        assert_eq!(out.len(), self.len, "result");
        if self.len == 0 {
            return;
        }
        match self.op {
            BinaryOp::Add => self.walk_all(|a, b| a + b, a, b, out),
            BinaryOp::Sub => self.walk_all(|a, b| a - b, a, b, out),
            BinaryOp::Mul => self.walk_all(|a, b| a * b, a, b, out),
            BinaryOp::Div => self.walk_all(|a, b| a / b, a, b, out),
            BinaryOp::Min => self.walk_all(smallest, a, b, out),
            BinaryOp::Max => self.walk_all(largest, a, b, out),
            BinaryOp::Pow => self.walk_all(pow, a, b, out),
            BinaryOp::PRelu => {
                self.walk_all(|a, b| if a < 0.0 { a * b } else { a }, a, b, out);
            }
        }
    }

    #[inline(always)]
    fn walk_all(&self, f: impl Fn(f32, f32) -> f32 + Copy, a: &[f32], b: &[f32], out: &mut [f32]) {
        let starts = self.starts.map(|s| s as isize);
        let activated = Activated { f, bounds: self.bounds };
        walk(self.isa, &self.axes, starts, [a, b], out, activated);
    }
}

/// A function and the bounds of its result.
#[derive(Clone, Copy)]
struct Activated<F> {
    f: F,
    bounds: [f32; 2],
}

impl<F: Fn(f32, f32) -> f32> Activated<F> {
    #[inline(always)]
    fn of(&self, a: f32, b: f32) -> f32 {
        bound((self.f)(a, b), self.bounds)
    }
}

fn joins(outer: Axis, inner: Axis) -> bool {
    let size = inner.size as isize;
    outer.steps == inner.steps.map(|step| step * size)
}

/// Computes the box of `axes`, whose first elements are those at `at`.
fn walk(
    isa: Isa,
    axes: &[Axis],
    mut at: [isize; 2],
    operands: [&[f32]; 2],
    out: &mut [f32],
    f: Activated<impl Fn(f32, f32) -> f32 + Copy>,
) {
    match *axes {
        [] => {}
        [row] => isa.run(
            #[inline(always)]
            || line(row, at, operands, out, f),
        ),
        [axis, ref rest @ ..] => {
            for out in out.chunks_exact_mut(out.len() / axis.size) {
                walk(isa, rest, at, operands, out, f);
                at = [at[0] + axis.steps[0], at[1] + axis.steps[1]];
            }
        }
    }
}

/// Computes the innermost axis.
#[inline(always)]
fn line(
    axis: Axis,
    at: [isize; 2],
    [a, b]: [&[f32]; 2],
    out: &mut [f32],
    f: Activated<impl Fn(f32, f32) -> f32>,
) {
    let [mut i, mut j] = at;
    match axis.steps {
        [1, 1] => {
            let (a, b) = (&a[i as usize..][..axis.size], &b[j as usize..][..axis.size]);
            out.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = f.of(a, b));
        }
        [1, 0] => {
            let (a, b) = (&a[i as usize..][..axis.size], b[j as usize]);
            out.iter_mut().zip(a).for_each(|(y, &a)| *y = f.of(a, b));
        }
        [0, 1] => {
            let (a, b) = (a[i as usize], &b[j as usize..][..axis.size]);
            out.iter_mut().zip(b).for_each(|(y, &b)| *y = f.of(a, b));
        }
        [step_a, step_b] => {
            for y in out {
                *y = f.of(a[i as usize], b[j as usize]);
                (i, j) = (i + step_a, j + step_b);
            }
        }
    }
}
