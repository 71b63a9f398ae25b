//! The model's outputs: made, put in the order their shapes say, written where the caller wants.

use super::value::{Other, OtherPlace, Real, Value};
use super::{Holds, Lowered, Lowering};
use crate::engine::error::LoadError;
use crate::engine::plan::{Action, Drain};
use crate::engine::view::{Place, View};
use crate::tensor::{Dtype, Quant, TensorSpec};
use inferd_kernels::Strided;
use std::collections::{BTreeSet, HashMap};
use tract_onnx::pb::GraphProto;

impl Lowering<'_> {
    /// Ends the plan with the outputs.
    pub(super) fn finish(mut self, graph: &GraphProto) -> Result<Lowered, LoadError> {
        let names: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
        for name in &names {
            self.provide(name)?;
        }
        let wanted: BTreeSet<String> = names.iter().cloned().collect();
        self.close_region(&wanted)?;
        let mut direct = HashMap::new();
        let mut specs = Vec::new();
        for (i, name) in names.iter().enumerate() {
            specs.push(self.output(i, name, &mut direct)?);
        }
        let plan = super::finish::plan(self.draft, self.regions, &direct);
        Ok(Lowered { plan, outputs: specs, nodes: self.originals, fates: self.fates })
    }

    /// Writes one output. `direct` maps a buffer to the output that can stand for it.
    fn output(
        &mut self,
        i: usize,
        name: &str,
        direct: &mut HashMap<usize, usize>,
    ) -> Result<TensorSpec, LoadError> {
        let refuse = |reason: &str| LoadError::Output { name: name.into(), reason: reason.into() };
        let spec = |dtype: Dtype, shape: &[usize], quant: Option<Quant>| {
            let shape = shape.to_vec();
            TensorSpec { name: name.to_owned(), dtype, shape, quant }
        };
        match (self.values.get(name).cloned(), self.floats.get(name).cloned()) {
            (Some(Value::Stored(stored)), _) if stored.unsigned => {
                let view = self.draft.plain(&stored.view, Holds::Bytes);
                self.draft.push(Action::ToUnsigned, &[&view], Place::Output(i), view.len());
                Ok(spec(Dtype::U8, &view.shape, stored.quant()))
            }
            (Some(Value::Stored(stored)), _) => {
                let view = self.draft.plain(&stored.view, Holds::Bytes);
                self.deliver(&view, i, Holds::Bytes, direct);
                Ok(spec(Dtype::I8, &view.shape, stored.quant()))
            }
            (Some(Value::Float(view)), _) | (Some(Value::Real(_)), Some(view)) => {
                let view = self.draft.plain(&view, Holds::Floats);
                self.deliver(&view, i, Holds::Floats, direct);
                Ok(spec(Dtype::F32, &view.shape, None))
            }
            (Some(Value::Other(Other { dtype, shape, at: OtherPlace::Kept(kept) })), _) => {
                self.drain_to_output(kept, i);
                Ok(spec(dtype, &shape, None))
            }
            (Some(Value::Constant(_) | Value::Real(Real::Weights(_)) | Value::Opaque), _) => {
                Err(refuse("it does not depend on the inputs"))
            }
            (Some(_), _) => Err(refuse("it is an input as it is, or cannot be had")),
            (None, _) => Err(refuse("nothing makes it")),
        }
    }

    fn deliver(&mut self, view: &View, i: usize, holds: Holds, direct: &mut HashMap<usize, usize>) {
        if let Place::Buffer(buffer) = view.place
            && !direct.contains_key(&buffer)
        {
            direct.insert(buffer, i);
            return;
        }
        let strided = Strided::new(&view.shape, &view.side(), &view.side());
        let action = match holds {
            Holds::Bytes => Action::Copy { strided, table: None },
            Holds::Floats => Action::CopyFloat(strided),
        };
        self.draft.push(action, &[view], Place::Output(i), view.len());
    }

    fn drain_to_output(&mut self, kept: usize, i: usize) {
        for step in &mut self.draft.steps {
            if let Action::Region { outputs, .. } = &mut step.action {
                let drains = outputs.iter_mut();
                drains
                    .filter(|d| d.iter().any(|d| matches!(d, Drain::Other(k) if *k == kept)))
                    .for_each(|d| d.push(Drain::Output(i)));
            }
        }
    }
}
