//! Nodes with their evaluators.

use super::features::{Binarizer, FeatureVectorizer, Imputer, Normalizer, OneHotEncoder, Scaler};
use super::linear::LinearModel;
use super::lookup::{Extractor, LabelEncoder};
use super::numbers::Numbers;
use super::rows::Rows;
use super::svm::{SvmClassifier, SvmRegressor};
use super::trees::TreeModel;
use crate::engine::graph::{Node, element_count};
use crate::tensor::{Data, Dtype};

/// The type and shape of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Operand {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
}

/// A node that is ready to run.
#[derive(Debug)]
pub(in crate::engine) struct Classical {
    evaluator: Evaluator,
    rows: Rows,
    outputs: Vec<Operand>,
}

#[derive(Debug)]
enum Evaluator {
    Trees(TreeModel),
    Linear(LinearModel),
    SvmClassifier(SvmClassifier),
    SvmRegressor(SvmRegressor),
    Scaler(Scaler),
    Normalizer(Normalizer),
    Imputer(Imputer),
    Binarizer(Binarizer),
    OneHot(OneHotEncoder),
    Vectorizer(FeatureVectorizer),
    LabelEncoder(LabelEncoder),
    Extractor(Extractor),
    /// The numbers of the input, converted to the type of the output.
    Convert,
}

/// Operators whose evaluator takes rows of features.
fn takes_rows(op: &str) -> bool {
    !matches!(op, "LabelEncoder" | "ArrayFeatureExtractor" | "OneHotEncoder" | "Binarizer")
}

impl Classical {
    /// The evaluator of `node` for inputs of these types and shapes.
    ///
    /// # Errors
    /// Attributes that are malformed, do not fit the inputs, or have no agreed meaning.
    pub(in crate::engine) fn of(node: &Node, inputs: &[Operand]) -> Result<Self, String> {
        let input = inputs.first().ok_or("it has no input")?;
        if matches!(input.dtype, Dtype::Bool) {
            return Err("its input is of type bool: cast it to a number first".into());
        }
        let rows = match takes_rows(&node.op) {
            true => Rows::of(&input.shape)?,
            false => Rows { rows: 1, columns: 1 },
        };
        let columns = rows.columns;
        let evaluator = match node.op.as_str() {
            "TreeEnsembleClassifier" | "TreeEnsembleRegressor" | "TreeEnsemble" => {
                Evaluator::Trees(trees(node, input.dtype, columns)?)
            }
            "LinearClassifier" | "LinearRegressor" => {
                Evaluator::Linear(LinearModel::of(node, columns)?)
            }
            "SVMClassifier" => Evaluator::SvmClassifier(SvmClassifier::of(node, columns)?),
            "SVMRegressor" => Evaluator::SvmRegressor(SvmRegressor::of(node, columns)?),
            "Scaler" => Evaluator::Scaler(Scaler::of(node, columns)?),
            "Normalizer" => Evaluator::Normalizer(Normalizer::of(node)?),
            "Imputer" => Evaluator::Imputer(Imputer::of(node, input.dtype, columns)?),
            "Binarizer" => Evaluator::Binarizer(Binarizer::of(node)),
            "OneHotEncoder" => Evaluator::OneHot(OneHotEncoder::of(node)?),
            "FeatureVectorizer" => {
                let each = inputs.iter().map(|input| Rows::of(&input.shape));
                let each = each.collect::<Result<Vec<_>, _>>()?;
                Evaluator::Vectorizer(FeatureVectorizer::of(node, &each)?)
            }
            "LabelEncoder" => Evaluator::LabelEncoder(LabelEncoder::of(node, input.dtype)?),
            "ArrayFeatureExtractor" => {
                let indices = inputs.get(1).ok_or("it has no indices")?;
                Evaluator::Extractor(Extractor::of(&input.shape, &indices.shape)?)
            }
            other => return Err(format!("{other} is not an operator of classical models")),
        };
        let outputs = outputs(&node.op, &evaluator, input, rows);
        for output in &outputs {
            element_count(&output.shape)?;
        }
        Ok(Self { evaluator, rows, outputs })
    }

    /// A step that converts numbers to another type, or only gives them another shape.
    pub(in crate::engine) fn convert(to: Operand) -> Self {
        let rows = Rows { rows: 1, columns: 1 };
        Self { evaluator: Evaluator::Convert, rows, outputs: vec![to] }
    }

    /// Types and shapes of the results: of a classifier, the label and the scores.
    pub(in crate::engine) fn outputs(&self) -> &[Operand] {
        &self.outputs
    }

    /// Computes all results. `outputs` have the types and lengths of [`Classical::outputs`].
    ///
    /// # Errors
    /// A number that the operator does not take.
    pub(in crate::engine) fn run(
        &self,
        inputs: &[Numbers<'_>],
        outputs: &mut [Data],
    ) -> Result<(), String> {
        let (Some(&first), rows) = (inputs.first(), self.rows) else { return Ok(()) };
        match &self.evaluator {
            Evaluator::Trees(model) => model.run(first, rows, outputs),
            Evaluator::Linear(model) => model.run(first, rows, outputs),
            Evaluator::SvmClassifier(model) => model.run(first, rows, outputs),
            Evaluator::SvmRegressor(model) => model.run(first, rows, outputs),
            Evaluator::Scaler(scaler) => scaler.run(first, outputs),
            Evaluator::Normalizer(normalizer) => normalizer.run(first, rows, outputs),
            Evaluator::Imputer(imputer) => imputer.run(first, outputs),
            Evaluator::Binarizer(binarizer) => return binarizer.run(first, outputs),
            Evaluator::OneHot(encoder) => return encoder.run(first, outputs),
            Evaluator::Vectorizer(vectorizer) => vectorizer.run(inputs, outputs),
            Evaluator::LabelEncoder(encoder) => encoder.run(first, outputs),
            Evaluator::Extractor(extractor) => {
                let Some(indices) = inputs.get(1) else { return Ok(()) };
                return extractor.run(first, *indices, outputs);
            }
            Evaluator::Convert => outputs.iter_mut().for_each(|to| first.convert_to(to)),
        }
        Ok(())
    }
}

fn trees(node: &Node, dtype: Dtype, columns: usize) -> Result<TreeModel, String> {
    let model = TreeModel::of(node, dtype)?;
    if model.features() > columns {
        return Err(format!(
            "its trees use feature {}, and its input has {columns} features",
            model.features() - 1
        ));
    }
    Ok(model)
}

fn outputs(op: &str, evaluator: &Evaluator, input: &Operand, rows: Rows) -> Vec<Operand> {
    let label = || Operand { dtype: Dtype::I64, shape: vec![rows.rows] };
    let floats = |width: usize| Operand { dtype: Dtype::F32, shape: vec![rows.rows, width] };
    let like = |dtype: Dtype| Operand { dtype, shape: input.shape.clone() };
    match evaluator {
        Evaluator::Trees(model) => match model.classes() {
            Some(classes) => vec![label(), floats(classes)],
            None => {
                let doubles = op == "TreeEnsemble" && input.dtype == Dtype::F64;
                let dtype = if doubles { Dtype::F64 } else { Dtype::F32 };
                vec![Operand { dtype, ..floats(model.targets()) }]
            }
        },
        Evaluator::Linear(model) => match model.classes() {
            Some(classes) => vec![label(), floats(classes)],
            None => vec![floats(model.targets())],
        },
        Evaluator::SvmClassifier(model) => vec![label(), floats(model.scores())],
        Evaluator::SvmRegressor(_) => vec![floats(1)],
        Evaluator::Vectorizer(vectorizer) => vec![floats(vectorizer.width())],
        Evaluator::Scaler(_) | Evaluator::Normalizer(_) => vec![like(Dtype::F32)],
        Evaluator::Imputer(_) | Evaluator::Binarizer(_) | Evaluator::Convert => {
            vec![like(input.dtype)]
        }
        Evaluator::OneHot(encoder) => {
            let shape = [input.shape.as_slice(), &[encoder.width()]].concat();
            vec![Operand { dtype: Dtype::F32, shape }]
        }
        Evaluator::LabelEncoder(encoder) => vec![like(encoder.dtype())],
        Evaluator::Extractor(extractor) => {
            vec![Operand { dtype: input.dtype, shape: extractor.shape(&input.shape) }]
        }
    }
}
