//! Joining and splitting tensors.

use super::amounts::axis;
use super::moves::{Through, shape};
use super::parts::Part;
use super::value::{Affine, Lazy, Op, Real, Stored, Value};
use super::{Holds, Lower, Lowering, float};
use crate::engine::proto::Attributes;
use crate::engine::qoperator::Node;
use crate::engine::view::View;

impl Lowering<'_> {
    pub(super) fn concat(&mut self, node: &Node) -> Lower {
        let proto = &node.proto;
        let mut values = Vec::new();
        for i in 0..proto.input.len() {
            values.push(self.value(proto, i)?.clone());
        }
        let shapes: Option<Vec<_>> = values.iter().map(shape).collect();
        let Some(shapes) = shapes.filter(|s| !s.is_empty()) else {
            return float("its inputs are not tensors in memory");
        };
        let rank = shapes.first().map_or(0, Vec::len);
        let Some(axis) = axis(proto.int("axis").unwrap_or(0), rank) else {
            return float("its axis is out of range");
        };
        let others = |s: &Vec<usize>| {
            let sizes = s.iter().enumerate().filter(|&(a, _)| a != axis);
            sizes.map(|(_, &d)| d).collect::<Vec<_>>()
        };
        if shapes.iter().any(|s| s.len() != rank || Some(others(s)) != shapes.first().map(others)) {
            return Err(self.refuse(node, format!("shapes {shapes:?} do not fit")).into());
        }
        let value = match values.first() {
            Some(Value::Stored(first)) => self.join_stored(first, &values, axis)?,
            _ => self.join_reals(&values, axis)?,
        };
        self.set(node, value);
        Ok(())
    }

    fn join_stored(&mut self, first: &Stored, values: &[Value], axis: usize) -> Lower<Value> {
        let mut parts: Vec<(View, Through)> = Vec::new();
        for value in values {
            match value {
                Value::Stored(s) if s.unsigned == first.unsigned && s.scale == first.scale => {
                    let view = self.draft.ordered(&s.view, &first.view.order, Holds::Bytes);
                    parts.push((view, None));
                }
                _ => return float("its inputs are not of one type and scale"),
            }
        }
        let view = self.draft.joined(&parts, axis);
        Ok(Value::Stored(Stored { view, ..first.clone() }))
    }

    fn join_reals(&mut self, values: &[Value], axis: usize) -> Lower<Value> {
        let mut parts: Vec<Real> = Vec::new();
        let mut order: Option<Vec<usize>> = None;
        for value in values {
            let Value::Real(real) = value else { return float("an input of it is not quantized") };
            let real = match real {
                Real::Table { view, values } => {
                    let view = self.in_order(view, &mut order);
                    Real::Table { view, values: values.clone() }
                }
                other => match self.as_affine(other) {
                    Some(a) => {
                        Real::Affine(Affine { view: self.in_order(&a.view, &mut order), ..a })
                    }
                    None => return float("an input of it is not quantized"),
                },
            };
            parts.push(real);
        }
        let affines: Vec<&Affine> = parts
            .iter()
            .filter_map(|p| match p {
                Real::Affine(a) => Some(a),
                _ => None,
            })
            .collect();
        if let Some(first) = affines.first().copied()
            && affines.len() == parts.len()
            && affines.iter().all(|a| a.scale == first.scale && a.zero == first.zero)
        {
            let views: Vec<_> = affines.iter().map(|a| (a.view.clone(), None)).collect();
            let view = self.draft.joined(&views, axis);
            return Ok(Value::Real(Real::Affine(Affine { view, ..first.clone() })));
        }
        let mut shape = values.first().and_then(shape).unwrap_or_default();
        let total: usize =
            values.iter().filter_map(|v| super::moves::shape(v)?.get(axis).copied()).sum();
        shape.iter_mut().skip(axis).take(1).for_each(|d| *d = total);
        Ok(Value::Real(Real::Lazy(Lazy::new(Op::Concat(parts, axis), shape))))
    }

    /// The tensor in the order of the first that was asked for.
    fn in_order(&mut self, view: &View, order: &mut Option<Vec<usize>>) -> View {
        let order = order.get_or_insert_with(|| view.order.clone());
        self.draft.ordered(view, order, Holds::Bytes)
    }

    pub(super) fn split(&mut self, node: &Node) -> Lower {
        let proto = &node.proto;
        let value = self.value(proto, 0)?.clone();
        let Some(from) = shape(&value) else { return float("its input is not a tensor in memory") };
        let Some(axis) = axis(proto.int("axis").unwrap_or(0), from.len()) else {
            return float("its axis is out of range");
        };
        let size = from.get(axis).copied().unwrap_or(0);
        let count = proto.output.len();
        let given =
            proto.ints("split").map(<[i64]>::to_vec).or_else(|| self.whole_numbers(proto, 1));
        let sizes: Vec<usize> = match given {
            Some(sizes) => sizes.iter().filter_map(|&s| usize::try_from(s).ok()).collect(),
            None => {
                let each = size.div_ceil(count.max(1));
                (0..count).map(|i| each.min(size.saturating_sub(i * each))).collect()
            }
        };
        if sizes.len() != count || sizes.iter().sum::<usize>() != size || sizes.contains(&0) {
            return float(format!("it splits {size} into {sizes:?}"));
        }
        let whole = from.iter().map(|&size| Part { start: 0, step: 1, size });
        let mut parts: Vec<Part> = whole.collect();
        let mut start = 0;
        for (i, size) in sizes.into_iter().enumerate() {
            parts.iter_mut().skip(axis).take(1).for_each(|p| *p = Part { start, step: 1, size });
            let part = self.cut_value(&value, &parts)?;
            self.set_output(node, i, part);
            start += size;
        }
        Ok(())
    }
}
