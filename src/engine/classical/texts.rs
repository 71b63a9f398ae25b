//! Texts of classes become numbers: the engine has no tensors of texts.
//!
//! A value of texts is replaced by the indices of its texts in a list that is known at load. The
//! list of an output is the names of its labels. ZipMap, which makes a map of names and scores, is
//! dropped: its names are those of the columns of the scores.

use super::class_labels::{ClassLabels, texts_of};
use super::{describe, is_classical};
use crate::engine::error::LoadError;
use crate::engine::graph::{
    Attribute, AttributeValue, ElementType, Graph, Node, TensorData, ValueInfo,
};
use crate::tensor::{Data, Tensor};
use std::collections::HashMap;

/// The names of an output's classes: of its columns, or of the numbers that a label may be.
pub(in crate::engine) type Names = HashMap<String, Vec<String>>;

/// Replaces texts and maps in `graph`. Returns the names of its outputs.
///
/// # Errors
/// Texts that are used for more than labels, malformed maps.
pub(in crate::engine) fn replace_texts(graph: &mut Graph) -> Result<Names, LoadError> {
    let mut texts = Texts::default();
    for data in &mut graph.initializers {
        if data.element == ElementType::STRING && !data.texts.is_empty() {
            texts.tables.insert(data.name.clone(), texts_of(&data.texts));
            *data = numbered(&data.name, data);
        }
    }
    for node in &mut graph.nodes {
        texts.replace(node).map_err(|reason| node.refusal(reason))?;
    }
    let mut names = Names::new();
    for output in &mut graph.outputs {
        let found =
            texts.tables.remove(&output.name).or_else(|| texts.columns.remove(&output.name));
        if let Some(found) = found {
            *output = ValueInfo::untyped(&output.name);
            names.insert(output.name.clone(), found);
        }
    }
    Ok(names)
}

/// The indices of the texts of `data`, in their place.
fn numbered(name: &str, data: &TensorData) -> TensorData {
    let indices = (0..).take(data.texts.len()).collect();
    let tensor = Tensor { shape: data.shape.clone(), data: Data::I64(indices) };
    TensorData::from_tensor(name.to_owned(), &tensor)
}

#[derive(Default)]
struct Texts {
    /// The texts of each value that has become indices.
    tables: HashMap<String, Vec<String>>,
    /// The names of the columns of scores.
    columns: HashMap<String, Vec<String>>,
}

impl Texts {
    fn table(&self, name: &str) -> Option<&Vec<String>> {
        self.tables.get(name)
    }

    fn replace(&mut self, node: &mut Node) -> Result<(), String> {
        let first = node.inputs.first().cloned().unwrap_or_default();
        let made = node.outputs.first().cloned().unwrap_or_default();
        if is_classical(node) {
            match node.op.as_str() {
                "ZipMap" => return self.drop_map(node),
                "LabelEncoder" => return self.encode(node, &first, made),
                _ => {}
            }
            if let Some((ClassLabels::Texts(names), _)) = describe(node) {
                self.tables.insert(made, names);
                return Ok(());
            }
        }
        if node.op == "Constant" {
            return self.constant(node, made);
        }
        let Some(table) = self.table(&first).cloned() else {
            return match node.reads().into_iter().find(|name| self.tables.contains_key(*name)) {
                Some(name) => Err(not_supported(name)),
                None => Ok(()),
            };
        };
        match node.op.as_str() {
            "Identity"
            | "Reshape"
            | "Squeeze"
            | "Unsqueeze"
            | "Flatten"
            | "Gather"
            | "ArrayFeatureExtractor" => {}
            "Cast" => match node.int("to") {
                Some(to) if to == i64::from(ElementType::STRING.code()) => {
                    *node = renamed(node, "Identity", "");
                }
                to => return parse(node, &table, to),
            },
            _ => return Err(not_supported(&first)),
        }
        self.tables.insert(made, table);
        Ok(())
    }

    fn constant(&mut self, node: &mut Node, made: String) -> Result<(), String> {
        for attribute in &mut node.attributes {
            let AttributeValue::Tensor(data) = &mut attribute.value else { continue };
            if data.element == ElementType::STRING && !data.texts.is_empty() {
                self.tables.insert(made, texts_of(&data.texts));
                *data = numbered(&data.name, data);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Replaces a ZipMap by the scores that it names.
    fn drop_map(&mut self, node: &mut Node) -> Result<(), String> {
        let texts = texts_of(node.texts("classlabels_strings").unwrap_or_default());
        let numbers = node.ints("classlabels_int64s").unwrap_or_default();
        let names = match (texts.as_slice(), numbers) {
            ([], numbers) if !numbers.is_empty() => numbers.iter().map(i64::to_string).collect(),
            ([_, ..], []) => texts,
            _ => return Err("it needs names or numbers of classes, and not both".into()),
        };
        let ([_], [made]) = (node.inputs.as_slice(), node.outputs.as_slice()) else {
            return Err("it needs one input and one output".into());
        };
        self.columns.insert(made.clone(), names);
        *node = renamed(node, "Identity", "");
        Ok(())
    }

    /// Replaces the texts among the keys and the values of a LabelEncoder.
    fn encode(&mut self, node: &mut Node, from: &str, made: String) -> Result<(), String> {
        let texts = |name: &str| {
            let listed = node.texts(name).map(texts_of).filter(|texts| !texts.is_empty());
            let tensor = || {
                let tensor = node.tensor(&name.replace("_strings", "_tensor"))?;
                (tensor.element == ElementType::STRING).then(|| texts_of(&tensor.texts))
            };
            listed.or_else(tensor)
        };
        let (mut keys, mut values) = (texts("keys_strings"), texts("values_strings"));
        let mut both = None;
        if let Some(classes) = texts("classes_strings") {
            // Before version 2: from the texts to their indices or back.
            let indices: Vec<i64> = (0..).take(classes.len()).collect();
            let way = if self.table(from).is_some() { "values_int64s" } else { "keys_int64s" };
            both = Some(Attribute::ints(way, indices));
            match self.table(from) {
                Some(_) => keys = Some(classes),
                None => values = Some(classes),
            }
        }
        if keys.is_none() && values.is_none() {
            let texts = self.table(from).is_some();
            return if texts {
                Err("its keys are numbers, its input is texts".into())
            } else {
                Ok(())
            };
        }
        node.attributes.retain(|a| a.name != "classes_strings");
        node.attributes.extend(both);
        if let Some(keys) = keys {
            let table = self.table(from).ok_or(
                "it reads texts of the model's input, and the engine takes numbers: encode the \
                 texts before they are sent, and export the model without them",
            )?;
            let indices = keys.iter().map(|key| table.iter().position(|text| text == key));
            // Texts that the value cannot be have indices that do not occur.
            let none = |place: usize| -1 - i64::try_from(place).unwrap_or(i64::MAX - 1);
            let indices = indices.enumerate().map(|(place, index)| {
                index.and_then(|i| i64::try_from(i).ok()).unwrap_or_else(|| none(place))
            });
            let indices = indices.collect();
            replace(node, ["keys_strings", "keys_tensor"], "keys_int64s", indices);
        }
        if let Some(mut values) = values {
            let indices = (0..).take(values.len()).collect::<Vec<i64>>();
            let default = default_text(node);
            replace(node, ["values_strings", "values_tensor"], "values_int64s", indices);
            let own = ["default_string", "default_tensor", "default_int64"];
            node.attributes.retain(|a| !own.contains(&a.name.as_str()));
            let count = i64::try_from(values.len()).unwrap_or(i64::MAX);
            node.attributes.push(Attribute::int("default_int64", count));
            values.push(default);
            self.tables.insert(made, values);
        }
        Ok(())
    }
}

/// The text for keys that are not listed.
fn default_text(node: &Node) -> String {
    let tensor = node.tensor("default_tensor").and_then(|t| texts_of(&t.texts).into_iter().next());
    tensor.unwrap_or_else(|| node.text("default_string").unwrap_or("_Unused").to_owned())
}

/// Replaces attributes of texts by one of numbers.
fn replace(node: &mut Node, texts: [&str; 2], numbers: &str, values: Vec<i64>) {
    node.attributes.retain(|a| !texts.contains(&a.name.as_str()));
    node.attributes.push(Attribute::ints(numbers, values));
}

/// Turns a Cast of texts to numbers into a LabelEncoder of their indices.
fn parse(node: &mut Node, table: &[String], to: Option<i64>) -> Result<(), String> {
    let keys = (0..).take(table.len()).collect();
    let not_numbers = |text: &str| format!("it makes a number of the text {text:?}");
    let values = if to == Some(i64::from(ElementType::F32.code())) {
        let parsed = table.iter().map(|t| t.trim().parse::<f32>().map_err(|_| not_numbers(t)));
        AttributeValue::Floats(parsed.collect::<Result<_, _>>()?)
    } else if to == Some(i64::from(ElementType::I64.code())) {
        let parsed = table.iter().map(|t| t.trim().parse::<i64>().map_err(|_| not_numbers(t)));
        AttributeValue::Ints(parsed.collect::<Result<_, _>>()?)
    } else {
        return Err("it makes numbers of texts that are not of type float or int64".into());
    };
    let floats = matches!(values, AttributeValue::Floats(_));
    let name = if floats { "values_floats" } else { "values_int64s" };
    *node = renamed(node, "LabelEncoder", super::DOMAIN);
    node.attributes = vec![
        Attribute::ints("keys_int64s", keys),
        Attribute { name: name.to_owned(), value: values },
    ];
    Ok(())
}

/// The node with another operator and no attributes.
fn renamed(node: &Node, op: &str, domain: &str) -> Node {
    let mut renamed = node.without_attributes();
    (renamed.op, renamed.domain) = (op.to_owned(), domain.to_owned());
    if renamed.original.is_empty() {
        renamed.original.clone_from(&node.name);
    }
    renamed
}

fn not_supported(name: &str) -> String {
    format!(
        "it reads the texts {name:?}, and the engine takes texts only as labels of classes: number \
         the classes before training (sklearn.preprocessing.LabelEncoder), export again, and put \
         their names into output.labels of the model card"
    )
}
