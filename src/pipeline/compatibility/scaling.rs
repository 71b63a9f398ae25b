//! How numbers become elements: the card's normalisation and the input's element type.

use super::draft::Draft;
use crate::bundle::card::{Card, Normalize};
use crate::pipeline::plan::{Cast, Scaling};
use crate::pipeline::problems::Problems;
use crate::tensor::Dtype;

/// One scaling for each channel of the tensor.
pub(super) fn scaling(
    card: &Card,
    draft: &Draft<'_>,
    group: usize,
    problems: &mut Problems,
) -> Option<Vec<Scaling>> {
    let Some(given) = scalings(&draft.input.normalize) else {
        let problem = "its lists must be of one length, and no std or max - min may be zero";
        problems.add("card: input.normalize", format!("input {:?}: {problem}", draft.input.name));
        return None;
    };
    let len = draft.numbers();
    let channels = match (&card.window, draft.channels()) {
        (Some(_), _) => draft.width,
        (None, 0) => given.len().max(group).max(1),
        (None, n) => n,
    };
    match *given.as_slice() {
        // Channels of unequal length are possible, as long as all are scaled alike.
        [one] if !len.is_multiple_of(channels) => Some(vec![one]),
        [one] => Some(vec![one; channels]),
        _ if given.len() == channels && len.is_multiple_of(channels) => Some(given),
        _ => {
            let problem = format!(
                "{} values for the {channels} channels (of {len} elements) of input {:?}",
                given.len(),
                draft.input.name
            );
            problems.add("card: input.normalize", problem);
            None
        }
    }
}

fn scalings(normalize: &Normalize) -> Option<Vec<Scaling>> {
    let pairs = |a: &[f32], b: &[f32], make: fn(f64, f64) -> Scaling| {
        let make = |(&a, &b): (&f32, &f32)| make(f64::from(a), f64::from(b));
        let all: Vec<Scaling> = a.iter().zip(b).map(make).collect();
        let finite = |s: &Scaling| s.sub.is_finite() && s.mul.is_finite() && s.add.is_finite();
        (a.len() == b.len() && !all.is_empty() && all.iter().all(finite)).then_some(all)
    };
    match normalize {
        Normalize::None => Some(vec![Scaling::NONE]),
        Normalize::MeanStd { mean, std } => {
            pairs(mean, std, |sub, std| Scaling { sub, mul: 1.0 / std, add: 0.0 })
        }
        Normalize::MinMax { min, max } => {
            pairs(min, max, |sub, max| Scaling { sub, mul: 1.0 / (max - sub), add: 0.0 })
        }
        Normalize::ScaleOffset { scale, offset } => {
            pairs(scale, offset, |mul, add| Scaling { sub: 0.0, mul, add })
        }
    }
}

pub(super) fn cast(draft: &Draft<'_>, problems: &mut Problems) -> Option<Cast> {
    let Draft { input, spec, .. } = draft;
    let float = matches!(spec.dtype, Dtype::F32 | Dtype::F64);
    let problem = match (float, input.quantize, spec.quant) {
        (true, false, _) => return Some(Cast::Real),
        (true, true, _) => format!("input {:?} is {}; quantize nothing", spec.name, spec.dtype),
        (false, true, Some(quant)) => return Some(Cast::Quantize(quant)),
        (false, true, None) => format!("the model does not say the scale of input {:?}", spec.name),
        (false, false, _) if draft.features.is_some() => format!(
            "input {:?} takes {} as they are, and features are real numbers: set quantize = true",
            spec.name, spec.dtype
        ),
        (false, false, quant) if input.normalize == Normalize::None => {
            return Some(Cast::AsIs(quant));
        }
        (false, false, _) => format!(
            "input {:?} takes {} as they are, which normalize would spoil: set quantize = true",
            spec.name, spec.dtype
        ),
    };
    problems.add("card: input.quantize", problem);
    None
}
