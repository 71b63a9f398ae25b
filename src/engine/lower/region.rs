//! Regions of the float runtime: gathered node by node, closed when something waits for them.

use super::primitives::{Amount, spell_out};
use super::value::{Other, OtherPlace, Real, Scaling, Stored, Value};
use super::{Holds, Lower, Lowering, Stop};
use crate::engine::classifier;
use crate::engine::constant::write;
use crate::engine::error::LoadError;
use crate::engine::explain::Fate;
use crate::engine::float::FloatGraph;
use crate::engine::plan::{Action, Drain, Feed, Span, Step};
use crate::engine::proto::{declare, reads};
use crate::engine::spec::data_type;
use crate::engine::view::{Place, View};
use crate::tensor::{Data, Dtype, Tensor};
use std::collections::BTreeSet;
use tract_onnx::pb::{GraphProto, NodeProto};

impl Lowering<'_> {
    /// Puts a node into the region, with whatever it reads.
    pub(super) fn gather(&mut self, i: usize, reason: &str) -> Result<(), LoadError> {
        if !self.gathered.insert(i) {
            return Ok(());
        }
        let Some(node) = self.nodes.get(i).cloned() else { return Ok(()) };
        self.note(&node, Fate::float(reason));
        for name in reads(&node.proto) {
            self.provide(name)?;
        }
        self.set_outputs(&node, &Value::Pending);
        Ok(())
    }

    /// Sees to it that a region can read the value: made by a step, known, or made in the region.
    pub(super) fn provide(&mut self, name: &str) -> Result<(), LoadError> {
        let in_region = match self.values.get(name) {
            Some(Value::Real(Real::Weights(_))) => false,
            Some(Value::Real(_)) => match self.in_float(name) {
                Ok(made) => made.is_none(),
                Err(Stop::Float(_)) => true,
                Err(Stop::Refuse(error)) => return Err(error),
            },
            Some(Value::Sums(_) | Value::Scale { .. } | Value::Zero { .. }) => true,
            _ => false,
        };
        match self.makers.get(name) {
            Some(&maker) if in_region => self.gather(maker, "its result is not quantized"),
            _ => Ok(()),
        }
    }

    /// The value as floats in memory, where steps of the plan can make that.
    pub(super) fn in_float(&mut self, name: &str) -> Lower<Option<View>> {
        if let Some(view) = self.floats.get(name) {
            return Ok(Some(view.clone()));
        }
        let made = match self.values.get(name).cloned() {
            Some(Value::Float(view)) => return Ok(Some(view)),
            Some(Value::Real(Real::Affine(a))) => {
                let action = Action::Dequantize { scale: a.scale, zero: a.zero };
                self.draft.make_like(action, &[&a.view], Holds::Floats)
            }
            Some(Value::Real(Real::Table { view, values })) => {
                #[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
                let table = values.map(|x| x as f32);
                self.draft.make_like(Action::TableFloat(Box::new(table)), &[&view], Holds::Floats)
            }
            Some(Value::Real(Real::Lazy(lazy))) => match self.emit_float(&lazy)? {
                Some(view) => view,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        self.floats.insert(name.to_owned(), made.clone());
        Ok(Some(made))
    }

    /// Compiles the gathered nodes; of what they make, `wanted` and the model's outputs are kept.
    pub(super) fn close_region(&mut self, wanted: &BTreeSet<String>) -> Result<(), LoadError> {
        let gathered = std::mem::take(&mut self.gathered);
        let nodes: Vec<NodeProto> =
            gathered.iter().filter_map(|&i| self.nodes.get(i)).map(|n| n.proto.clone()).collect();
        let made: BTreeSet<&str> =
            nodes.iter().flat_map(|n| &n.output).map(String::as_str).collect();
        let results: Vec<&str> = made.iter().copied().filter(|n| wanted.contains(*n)).collect();
        if results.is_empty() {
            return Ok(());
        }
        let mut graph = GraphProto { name: "region".into(), ..GraphProto::default() };
        graph.output = results.iter().map(|n| declare(n, 0, &[])).collect();
        let outside: BTreeSet<&str> =
            nodes.iter().flat_map(reads).filter(|n| !made.contains(n)).collect();
        let mut inputs = Vec::new();
        for name in outside {
            self.connect(name, &mut graph, &mut inputs)?;
        }
        graph.node.clone_from(&nodes);
        spell_out(&mut graph, &|name| self.known_amount(name));
        classifier::spell_out(&mut graph);
        let index = self.regions.len();
        for node in gathered.iter().filter_map(|&i| self.nodes.get(i)) {
            if let Some(Fate::Float { region, .. }) = self.fates.get_mut(node.origin) {
                region.get_or_insert(index);
            }
        }
        let region = FloatGraph::new(self.header, graph, self.onnx)?;
        let outputs = results.iter().zip(&region.outputs);
        let outputs = outputs.map(|(name, (dtype, shape))| self.receive(name, *dtype, shape));
        let outputs = outputs.collect();
        self.regions.push(region);
        let nowhere = Span { place: Place::Constant(usize::MAX), len: 0 };
        let action = Action::Region { index, inputs, outputs };
        self.draft.steps.push(Step { action, from: Vec::new(), to: nowhere });
        Ok(())
    }

    fn known_amount(&self, name: &str) -> Option<Amount> {
        match self.values.get(name) {
            Some(Value::Constant(tensor)) => Some(Amount {
                data_type: data_type(tensor.dtype()) as i32,
                single: tensor.data.len() == 1,
            }),
            _ => None,
        }
    }

    /// Makes a value from outside an input or a constant of the region.
    fn connect(
        &mut self,
        name: &str,
        graph: &mut GraphProto,
        inputs: &mut Vec<Feed>,
    ) -> Result<(), LoadError> {
        let float = self.floats.get(name).cloned();
        let feed = match (self.values.get(name).cloned(), float) {
            (Some(Value::Constant(tensor)), _) => {
                graph.initializer.push(write(name, &tensor));
                return Ok(());
            }
            (Some(Value::Real(Real::Weights(weights))), _) => {
                #[expect(clippy::cast_possible_truncation, reason = "to the nearest float")]
                let values = weights.reals().into_iter().map(|x| x as f32).collect();
                let tensor =
                    Tensor { shape: weights.tensor.shape.clone(), data: Data::F32(values) };
                graph.initializer.push(write(name, &tensor));
                return Ok(());
            }
            (Some(Value::Opaque), _) => {
                graph.initializer.extend(self.opaque.get(name).cloned());
                return Ok(());
            }
            (Some(Value::Float(view)), _) | (_, Some(view)) => {
                let view = self.draft.plain(&view, Holds::Floats);
                feed(&view, Dtype::F32)
            }
            (Some(Value::Stored(stored)), _) => {
                let view = self.draft.plain(&stored.view, Holds::Bytes);
                feed(&view, if stored.unsigned { Dtype::U8 } else { Dtype::I8 })
            }
            (Some(Value::Other(Other { dtype, shape, at })), _) => {
                let (place, other) = match at {
                    OtherPlace::Input(i) => (Place::Input(i), None),
                    OtherPlace::Kept(i) => (Place::Constant(usize::MAX), Some(i)),
                };
                Feed { span: Span { place, len: 0 }, dtype, shape, other }
            }
            _ => {
                let reason = "it is read where it cannot be had".to_owned();
                return Err(LoadError::Tensor { name: name.to_owned(), reason });
            }
        };
        graph.input.push(declare(name, data_type(feed.dtype) as i32, &feed.shape));
        inputs.push(feed);
        Ok(())
    }

    /// A place for a result of the region.
    fn receive(&mut self, name: &str, dtype: Dtype, shape: &[usize]) -> Vec<Drain> {
        let len = shape.iter().product();
        let (value, drain) = match dtype {
            Dtype::F32 => {
                let place = self.draft.buffer(Holds::Floats, len);
                let value = Value::Float(View::plain(place, shape));
                (value, Drain::Span(Span { place, len }, dtype))
            }
            Dtype::I8 | Dtype::U8 => {
                let place = self.draft.buffer(Holds::Bytes, len);
                let view = View::plain(place, shape);
                let unsigned = dtype == Dtype::U8;
                let value = Value::Stored(Stored { view, unsigned, scale: Scaling::Unknown });
                (value, Drain::Span(Span { place, len }, dtype))
            }
            _ => {
                let kept = self.draft.others;
                self.draft.others += 1;
                let other = Other { dtype, shape: shape.to_vec(), at: OtherPlace::Kept(kept) };
                (Value::Other(other), Drain::Other(kept))
            }
        };
        self.values.insert(name.to_owned(), value);
        vec![drain]
    }
}

fn feed(view: &View, dtype: Dtype) -> Feed {
    let span = Span { place: view.place, len: view.len() };
    Feed { span, dtype, shape: view.shape.clone(), other: None }
}
