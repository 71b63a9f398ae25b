//! Decoded numbers -> input tensors: channels picked, normalised, laid out, and cast.

use super::decode::{Samples, ValueOrder};
use super::input_numbers::InputNumbers;
use super::plan::{Cast, InputPlan, Scaling, StreamPlan};
use super::reject::Reject;
use crate::bundle::card::{Layout, SeriesLayout};
use crate::tensor::{Data, Quant, Tensor};

/// Where a tensor's numbers lie in a buffer: number `c` of sample `t` is at
/// `first + t * time + c * channel`.
#[derive(Clone, Copy, Debug)]
struct Strides {
    first: usize,
    time: usize,
    channel: usize,
}

/// Fills one tensor from a window: rows of `width` numbers, oldest first. `numbers` receives what the
/// elements are made of.
pub(super) fn window(
    plan: &InputPlan,
    rows: &[f64],
    width: usize,
    numbers: &mut InputNumbers,
    tensor: &mut Tensor,
) -> Result<(), Reject> {
    let strides = Strides { first: plan.first, time: width, channel: 1 };
    gather(plan, rows, strides, numbers.normalized_mut(plan));
    cast(plan, numbers.featured(plan)?, &mut tensor.data)
}

/// Fills one tensor from a whole input; `flat` is a buffer.
pub(super) fn whole(
    plan: &StreamPlan,
    input: &InputPlan,
    samples: &Samples,
    flat: &mut Vec<f64>,
    numbers: &mut InputNumbers,
    tensor: &mut Tensor,
) -> Result<(), Reject> {
    let steps = input.numbers / input.channels().max(1);
    let reals = numbers.normalized_mut(input);
    match samples.order {
        ValueOrder::Flat => {
            gather(input, &samples.values, as_laid_out(input, input.first, steps), reals);
        }
        ValueOrder::Rows => {
            let (got, fields) = (samples.values.len(), plan.fields.len());
            let fits = fields.checked_mul(steps) == Some(got) && got == plan.width;
            if !fits {
                return Err(wrong_length("numbers in the message", got, plan.width.to_string()));
            }
            if input.fields.len() != input.channels() {
                let problem = format!(
                    "rows have {} fields for the {} channels of input {}",
                    input.fields.len(),
                    input.channels(),
                    input.name
                );
                return Err(Reject::Syntax { format: "of the configured shape", problem });
            }
            let strides = Strides { first: input.fields.start, time: fields, channel: 1 };
            gather(input, &samples.values, strides, reals);
        }
        ValueOrder::Columns => {
            let strides = columns(input, samples, steps, flat)?;
            gather(input, flat, strides, reals);
        }
    }
    cast(input, numbers.featured(input)?, &mut tensor.data)
}

/// Puts fields that are numbers or arrays one after the other: one array in the tensor's own order,
/// one for each channel, or any that make up the tensor.
fn columns(
    input: &InputPlan,
    samples: &Samples,
    steps: usize,
    flat: &mut Vec<f64>,
) -> Result<Strides, Reject> {
    let spans = samples.spans.get(input.fields.clone()).unwrap_or_default();
    let per_channel = spans.len() == input.channels();
    flat.clear();
    for span in spans {
        if per_channel && span.len() != steps {
            let expected = format!("{steps} for each of {} fields", spans.len());
            return Err(wrong_length("numbers in a field", span.len(), expected));
        }
        flat.extend_from_slice(samples.values.get(span.clone()).unwrap_or_default());
    }
    if flat.len() != input.numbers {
        let expected = input.numbers.to_string();
        return Err(wrong_length("numbers in the fields", flat.len(), expected));
    }
    Ok(if per_channel {
        Strides { first: 0, time: 1, channel: steps }
    } else {
        as_laid_out(input, 0, steps)
    })
}

/// The strides of numbers that are in the tensor's order already.
fn as_laid_out(plan: &InputPlan, first: usize, steps: usize) -> Strides {
    let Layout::Series(order) = plan.payload_layout();
    match order {
        SeriesLayout::TimeChannel => Strides { first, time: plan.channels(), channel: 1 },
        SeriesLayout::ChannelTime => Strides { first, time: 1, channel: steps },
    }
}

fn wrong_length(what: &'static str, got: usize, expected: String) -> Reject {
    Reject::WrongLength { what, got: got.to_string(), expected, hint: "" }
}

/// Collects a tensor's numbers in its order, normalised.
fn gather(plan: &InputPlan, source: &[f64], at: Strides, reals: &mut Vec<f64>) {
    reals.clear();
    let steps = plan.numbers / plan.channels().max(1);
    let Layout::Series(order) = plan.layout;
    match (order, plan.scaling.as_slice()) {
        (SeriesLayout::TimeChannel, [all]) => run(source, at.first, at.time, steps, *all, reals),
        (SeriesLayout::TimeChannel, scaling) => {
            for t in 0..steps {
                let row = source.get(at.first.saturating_add(t * at.time)..).unwrap_or_default();
                let row = row.iter().step_by(at.channel).zip(scaling);
                reals.extend(row.map(|(value, scaling)| scaling.apply(*value)));
            }
        }
        (SeriesLayout::ChannelTime, scaling) => {
            for (c, scaling) in scaling.iter().enumerate() {
                let first = at.first.saturating_add(c * at.channel);
                run(source, first, at.time, steps, *scaling, reals);
            }
        }
    }
}

/// Takes `n` numbers of one channel, every `stride`th.
fn run(
    source: &[f64],
    first: usize,
    stride: usize,
    n: usize,
    scaling: Scaling,
    reals: &mut Vec<f64>,
) {
    let source = source.get(first..).unwrap_or_default();
    if stride == 1 {
        // The common case by itself, so that it becomes vector instructions.
        reals.extend(source.iter().take(n).map(|v| scaling.apply(*v)));
    } else {
        reals.extend(source.iter().step_by(stride).take(n).map(|v| scaling.apply(*v)));
    }
}

/// Fills one tensor from elements that are in its own order and type.
pub(super) fn tensor(input: &InputPlan, data: &Data, tensor: &mut Tensor) -> Result<(), Reject> {
    if data.len() != input.len || data.dtype() != tensor.dtype() {
        let got = format!("{} of {}", data.len(), data.dtype());
        let expected = format!("{} of {}", input.len, tensor.dtype());
        let what = "elements of a decoded tensor";
        return Err(Reject::WrongLength { what, got, expected, hint: "" });
    }
    macro_rules! copy {
        ($($variant:ident),*) => {
            match (&mut tensor.data, data) {
                // Keeps the tensor's own allocation.
                $((Data::$variant(to), Data::$variant(from)) => to.copy_from_slice(from),)*
                (to, from) => debug_assert_eq!(to.dtype(), from.dtype()),
            }
        };
    }
    copy!(F32, F64, I8, U8, I16, U16, I32, I64, Bool);
    Ok(())
}

/// Writes real numbers as elements, and leaves in `reals` what the elements stand for where the
/// numbers were taken as they are.
fn cast(plan: &InputPlan, reals: &mut [f64], data: &mut Data) -> Result<(), Reject> {
    match plan.cast {
        Cast::Real => floats(plan, reals, data),
        Cast::Quantize(quant) => {
            quantize(reals, quant, data);
            Ok(())
        }
        Cast::AsIs(quant) => {
            let dtype = data.dtype();
            as_is(reals, data).map_err(|(place, value)| Reject::OutOfRange {
                field: element(plan, place),
                value,
                dtype,
            })?;
            if let Some(Quant { scale, zero }) = quant {
                reals.iter_mut().for_each(|v| *v = (*v - f64::from(zero)) * f64::from(scale));
            }
            Ok(())
        }
    }
}

fn element(plan: &InputPlan, place: usize) -> String {
    format!("element {place} of input {}", plan.name)
}

fn floats(plan: &InputPlan, reals: &[f64], data: &mut Data) -> Result<(), Reject> {
    match data {
        #[expect(clippy::cast_possible_truncation, reason = "what overflows is refused")]
        Data::F32(out) => {
            out.clear();
            out.extend(reals.iter().map(|&v| v as f32));
            let fits = |v: &f32| v.is_finite() || (plan.takes_nan && v.is_nan());
            match out.iter().position(|v| !fits(v)) {
                Some(place) => Err(Reject::NotFinite { field: element(plan, place) }),
                None => Ok(()),
            }
        }
        Data::F64(out) => {
            out.clear();
            out.extend_from_slice(reals);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// As ONNX `QuantizeLinear` does it, in 32 bits: `round_half_even(x / scale) + zero`, saturating.
#[expect(clippy::cast_possible_truncation, reason = "float to integer casts saturate")]
#[expect(clippy::cast_sign_loss, reason = "float to integer casts saturate")]
fn quantize(reals: &[f64], quant: Quant, data: &mut Data) {
    let step =
        |v: f64| f64::from((v as f32 / quant.scale).round_ties_even()) + f64::from(quant.zero);
    match data {
        Data::I8(out) => fill(out, reals, |v| step(v) as i8),
        Data::U8(out) => fill(out, reals, |v| step(v) as u8),
        Data::I16(out) => fill(out, reals, |v| step(v) as i16),
        Data::U16(out) => fill(out, reals, |v| step(v) as u16),
        Data::I32(out) => fill(out, reals, |v| step(v) as i32),
        Data::I64(out) => fill(out, reals, |v| step(v) as i64),
        Data::F32(_) | Data::F64(_) | Data::Bool(_) => {}
    }
}

fn fill<T>(out: &mut Vec<T>, reals: &[f64], element: impl Fn(f64) -> T) {
    out.clear();
    out.extend(reals.iter().map(|&v| element(v)));
}

/// Takes whole numbers in range; the error is the first other number with its place.
#[expect(clippy::cast_possible_truncation, reason = "checked by the way back")]
#[expect(clippy::cast_sign_loss, reason = "checked by the way back")]
fn as_is(reals: &[f64], data: &mut Data) -> Result<(), (usize, f64)> {
    match data {
        Data::I8(out) => exact(out, reals, |v| v as i8, f64::from),
        Data::U8(out) => exact(out, reals, |v| v as u8, f64::from),
        Data::I16(out) => exact(out, reals, |v| v as i16, f64::from),
        Data::U16(out) => exact(out, reals, |v| v as u16, f64::from),
        Data::I32(out) => exact(out, reals, |v| v as i32, f64::from),
        Data::I64(out) => exact(out, reals, |v| v as i64, wide),
        Data::Bool(out) => exact(out, reals, |v| v != 0.0, |v| f64::from(u8::from(v))),
        Data::F32(_) | Data::F64(_) => Ok(()),
    }
}

/// The number of an `i64`; the largest one stands for everything too large, and is refused.
#[expect(clippy::cast_precision_loss, reason = "numbers above 2^53 come rounded already")]
fn wide(v: i64) -> f64 {
    if v == i64::MAX { f64::NAN } else { v as f64 }
}

fn exact<T: Copy>(
    out: &mut Vec<T>,
    reals: &[f64],
    there: impl Fn(f64) -> T,
    back: impl Fn(T) -> f64,
) -> Result<(), (usize, f64)> {
    out.clear();
    let mut all = true;
    out.extend(reals.iter().map(|&v| {
        let element = there(v);
        all &= back(element) == v;
        element
    }));
    if all {
        return Ok(());
    }
    let bad = reals.iter().position(|&v| back(there(v)) != v);
    Err(bad.and_then(|place| Some((place, *reals.get(place)?))).unwrap_or_default())
}
