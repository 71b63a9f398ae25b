//! The numbers that operators read and write, of any type.

use crate::each_dtype;
use crate::tensor::{Data, Dtype};
use std::borrow::Cow;

/// The numbers of an input.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum Numbers<'a> {
    Floats(&'a [f32]),
    Data(&'a Data),
}

/// A number that converts as in C: to the nearest float, towards zero to integers.
pub(super) trait Number: Copy {
    fn real(self) -> f64;
    fn whole(self) -> i64;
    fn of_real(x: f64) -> Self;
    fn of_whole(x: i64) -> Self;
}

macro_rules! number {
    ($($t:ty),*) => {$(
        #[expect(
            clippy::allow_attributes,
            reason = "not every conversion is one that the lints are about"
        )]
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            clippy::cast_possible_wrap,
            clippy::cast_lossless,
            clippy::unnecessary_cast,
            trivial_numeric_casts,
            reason = "as the operator Cast defines it"
        )]
        impl Number for $t {
            fn real(self) -> f64 {
                self as f64
            }

            fn whole(self) -> i64 {
                self as i64
            }

            fn of_real(x: f64) -> Self {
                x as $t
            }

            fn of_whole(x: i64) -> Self {
                x as $t
            }
        }
    )*};
}

number!(f32, f64, i8, u8, i16, u16, i32, i64);

impl Number for bool {
    fn real(self) -> f64 {
        f64::from(u8::from(self))
    }

    fn whole(self) -> i64 {
        i64::from(self)
    }

    fn of_real(x: f64) -> Self {
        x != 0.0
    }

    fn of_whole(x: i64) -> Self {
        x != 0
    }
}

impl<'a> Numbers<'a> {
    pub(super) fn dtype(self) -> Dtype {
        match self {
            Self::Floats(_) => Dtype::F32,
            Self::Data(data) => data.dtype(),
        }
    }

    /// The numbers as floats, converted if they are of another type.
    pub(super) fn floats(self) -> Cow<'a, [f32]> {
        match self {
            Self::Floats(values) => Cow::Borrowed(values),
            Self::Data(Data::F32(values)) => Cow::Borrowed(values),
            // Doubles round once, integers of 64 bits too.
            Self::Data(Data::I64(values)) =>
            {
                #[expect(clippy::cast_precision_loss, reason = "to the nearest float")]
                Cow::Owned(values.iter().map(|&x| x as f32).collect())
            }
            Self::Data(data) => {
                let single = |x: f64| f32::of_real(x);
                each_dtype!(data, v => Cow::Owned(v.iter().map(|&x| single(x.real())).collect()))
            }
        }
    }

    pub(super) fn doubles(self) -> Cow<'a, [f64]> {
        match self {
            Self::Floats(values) => Cow::Owned(values.iter().map(|&x| f64::from(x)).collect()),
            Self::Data(Data::F64(values)) => Cow::Borrowed(values),
            Self::Data(data) => {
                each_dtype!(data, v => Cow::Owned(v.iter().map(|&x| x.real()).collect()))
            }
        }
    }

    pub(super) fn integers(self) -> Cow<'a, [i64]> {
        match self {
            Self::Floats(values) => Cow::Owned(values.iter().map(|&x| x.whole()).collect()),
            Self::Data(Data::I64(values)) => Cow::Borrowed(values),
            Self::Data(data) => {
                each_dtype!(data, v => Cow::Owned(v.iter().map(|&x| x.whole()).collect()))
            }
        }
    }

    /// Writes the numbers to `to`, converted to its type.
    pub(super) fn convert_to(self, to: &mut Data) {
        let integer = !matches!(self.dtype(), Dtype::F32 | Dtype::F64);
        if integer {
            let values = self.integers();
            each_dtype!(to, v => fill(v, &values, Number::of_whole));
        } else if let (Dtype::F32, Data::F32(to)) = (self.dtype(), &mut *to) {
            to.clear();
            to.extend_from_slice(&self.floats());
        } else {
            let values = self.doubles();
            each_dtype!(to, v => fill(v, &values, Number::of_real));
        }
    }
}

fn fill<A: Copy, B>(to: &mut Vec<B>, from: &[A], convert: impl Fn(A) -> B) {
    to.clear();
    to.extend(from.iter().map(|&x| convert(x)));
}
