//! What an option is: its type, bounds, default and meaning. One table of these checks a file,
//! supplies its defaults and writes its documentation.

use std::fmt;
use std::time::Duration;

use super::origin::Origin;
use super::tree::{Node, Scalar, Value};
use super::units;

/// A table of options: `"path": kind => fallback, eg "example", "meaning";`
macro_rules! options {
    ($(
        $path:literal: $kind:expr => $default:expr, $(eg $example:literal,)? $meaning:literal;
    )*) => {
        &[$($crate::config::schema::OptionSpec {
            path: $path,
            kind: $kind,
            default: $default,
            meaning: $meaning,
            example: concat!($($example)?),
        }),*]
    };
}
pub(crate) use options;

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// With `[]` for each element of an array of tables: `stream[].publish.topic`.
    pub path: &'static str,
    pub kind: Kind,
    pub default: DefaultValue,
    /// Sentences for the operator: what it does, its unit, when to change it.
    pub meaning: &'static str,
    /// TOML; empty where the default shows the form.
    pub example: &'static str,
}

/// What holds where an option is not written.
#[derive(Clone, Copy, Debug)]
pub enum DefaultValue {
    Required,
    /// Off, or nothing.
    Unset,
    /// This TOML value.
    Value(&'static str),
    /// As the words describe; the code that reads the option checks it.
    Derived(&'static str),
}

/// Types and bounds (all inclusive).
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Bool,
    Int {
        min: i64,
        max: i64,
    },
    Float {
        min: f64,
        max: f64,
    },
    Duration {
        min: Duration,
        max: Duration,
    },
    /// Bytes.
    Size {
        min: u64,
        max: u64,
    },
    /// `form` says what is allowed in words; at most `max` bytes.
    Text {
        max: usize,
        form: &'static str,
    },
    Choice(&'static [&'static str]),
    /// At most `max` texts.
    Strings {
        max: usize,
        form: &'static str,
    },
    /// One text, or at most `max` of them.
    Names {
        max: usize,
        form: &'static str,
    },
    /// One number, or at most `max` of them.
    Floats {
        max: usize,
    },
    /// A table of whole numbers from 1, with keys of the writer's own.
    Counts {
        max: i64,
    },
    /// A table of scalars, or lists of them, with keys of the writer's own: at most `max` of both.
    /// `alone` allows a scalar in place of the table, whose key is then empty.
    Scalars {
        max: usize,
        alone: bool,
        form: &'static str,
    },
    /// A folder.
    Folder,
    /// A file that is there.
    File,
    /// A file that is there and that others cannot change.
    Secret,
    /// The name of an environment variable that is set.
    Env,
}

/// A value that has the type and keeps the bounds its option asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Checked {
    Bool(bool),
    Int(i64),
    Float(f64),
    Duration(Duration),
    Size(u64),
    Text(String),
    Strings(Vec<String>),
    Floats(Vec<f64>),
    Counts(Vec<(String, usize)>),
    Scalars(Vec<(String, Vec<Scalar>)>),
}

impl Kind {
    /// Checks type and bounds.
    ///
    /// # Errors
    /// The reason in words.
    pub fn check(&self, value: &Value) -> Result<Checked, String> {
        let checked = match (*self, value) {
            (Self::Bool, Value::Bool(flag)) => Checked::Bool(*flag),
            (Self::Int { min, max }, &Value::Int(n)) => {
                return within(n, min, max).map(Checked::Int);
            }
            (Self::Float { min, max }, number) => {
                return within(float(number)?, min, max).map(Checked::Float);
            }
            (Self::Duration { min, max }, Value::Text(text)) => {
                let duration = units::duration(text).ok_or("not a duration")?;
                return within(duration, min, max).map(Checked::Duration);
            }
            (Self::Size { min, max }, value) => {
                return within(size(value)?, min, max).map(Checked::Size);
            }
            (Self::Text { max, .. }, Value::Text(text)) => {
                return plain_text(text, max).map(Checked::Text);
            }
            (Self::Folder | Self::File | Self::Secret, Value::Text(text)) => {
                return plain_text(text, 4096).map(Checked::Text);
            }
            (Self::Env, Value::Text(text)) => return variable(text).map(Checked::Text),
            (Self::Choice(words), Value::Text(text)) if words.contains(&text.as_str()) => {
                Checked::Text(text.clone())
            }
            (Self::Choice(_), _) => return Err("not one of the allowed values".into()),
            (Self::Strings { max, .. }, Value::List(list)) => return strings(list, max),
            (Self::Names { max, .. }, Value::List(list)) => return strings(list, max),
            (Self::Names { .. }, Value::Text(text)) => {
                return plain_text(text, 256).map(|text| Checked::Strings(vec![text]));
            }
            (Self::Floats { max }, Value::List(list)) => return floats(list, max),
            (Self::Floats { .. }, number) => Checked::Floats(vec![float(number)?]),
            (Self::Scalars { max, alone, .. }, value) => {
                return scalars(value, max, alone).map(Checked::Scalars);
            }
            (Self::Counts { max }, Value::Table(table)) => {
                let count = |(key, node): (&String, &Node)| match node.value {
                    Value::Int(n) => usize::try_from(within(n, 1, max)?)
                        .map(|n| (key.clone(), n))
                        .map_err(|_| "out of bounds".to_owned()),
                    _ => Err(format!("{key} is not an integer")),
                };
                return table.iter().map(count).collect::<Result<_, _>>().map(Checked::Counts);
            }
            _ => return Err(format!("not {}", self.noun())),
        };
        Ok(checked)
    }

    fn noun(&self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int { .. } => "an integer",
            Self::Float { .. } => "a number",
            Self::Duration { .. } => "a duration in quotes",
            Self::Size { .. } => "a size in bytes",
            Self::Text { .. } | Self::Choice(_) | Self::Env => "a string in quotes",
            Self::Strings { .. } => "a list of strings",
            Self::Names { .. } => "a string or a list of strings",
            Self::Floats { .. } => "a number or a list of numbers",
            Self::Counts { .. } => "a table of integers",
            Self::Scalars { alone: true, .. } => "a value or a table of values",
            Self::Scalars { .. } => "a table of values",
            Self::Folder => "the path of a folder in quotes",
            Self::File | Self::Secret => "the path of a file in quotes",
        }
    }
}

fn within<T: PartialOrd>(value: T, min: T, max: T) -> Result<T, String> {
    if value < min {
        Err("too small".into())
    } else if value > max {
        Err("too large".into())
    } else {
        Ok(value)
    }
}

fn float(value: &Value) -> Result<f64, String> {
    match *value {
        // Whole numbers of a configuration are far below 2^53.
        #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
        Value::Int(n) => Ok(n as f64),
        Value::Float(x) if x.is_finite() => Ok(x),
        Value::Float(_) => Err("not finite".into()),
        _ => Err("not a number".into()),
    }
}

fn size(value: &Value) -> Result<u64, String> {
    match value {
        Value::Int(n) => u64::try_from(*n).map_err(|_| "negative".to_owned()),
        Value::Text(text) => units::size(text).ok_or_else(|| "not a size in bytes".into()),
        _ => Err("not a size in bytes".into()),
    }
}

fn plain_text(text: &str, max: usize) -> Result<String, String> {
    if text.is_empty() {
        Err("empty".into())
    } else if text.len() > max {
        Err(format!("{} bytes long; the maximum is {max}", text.len()))
    } else if text.chars().any(char::is_control) {
        Err("contains a control character".into())
    } else {
        Ok(text.to_owned())
    }
}

fn variable(name: &str) -> Result<String, String> {
    let is_name = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && !name.starts_with(|letter: char| letter.is_ascii_digit());
    if !is_name {
        return Err("not the name of an environment variable".into());
    }
    plain_text(name, 256)
}

fn strings(list: &[Node], max: usize) -> Result<Checked, String> {
    within(list.len(), 0, max)
        .map_err(|_| format!("{} strings; the maximum is {max}", list.len()))?;
    let text = |node: &Node| match &node.value {
        Value::Text(text) => plain_text(text, 256).map_err(|why| format!("{text:?} is {why}")),
        other => Err(format!("{other} is not a string in quotes")),
    };
    list.iter().map(text).collect::<Result<_, _>>().map(Checked::Strings)
}

fn scalars(value: &Value, max: usize, alone: bool) -> Result<Vec<(String, Vec<Scalar>)>, String> {
    let Value::Table(table) = value else {
        let one = value.scalar().filter(|_| alone).ok_or("not a table of values")?;
        return Ok(vec![(String::new(), vec![one])]);
    };
    let of = |key: &String, node: &Node| {
        let value = |value: &Value| match value.scalar() {
            Some(Scalar::Text(text)) if !text.is_empty() => {
                plain_text(&text, 256).map(Scalar::Text)
            }
            Some(scalar) => Ok(scalar),
            None => Err(format!("{key} is not a value")),
        };
        match &node.value {
            Value::List(list) => list.iter().map(|node| value(&node.value)).collect(),
            one => value(one).map(|one| vec![one]),
        }
    };
    let mut found = Vec::new();
    for (key, node) in table {
        let values: Vec<Scalar> = of(key, node)?;
        within(values.len(), 1, max).map_err(|why| format!("the list of {key} is {why}"))?;
        found.push((plain_text(key, 256).map_err(|why| format!("a key is {why}"))?, values));
    }
    within(found.len(), 1, max).map_err(|why| format!("the table is {why}"))?;
    Ok(found)
}

fn floats(list: &[Node], max: usize) -> Result<Checked, String> {
    within(list.len(), 1, max)
        .map_err(|_| format!("{} numbers; 1 to {max} are allowed", list.len()))?;
    list.iter().map(|node| float(&node.value)).collect::<Result<_, _>>().map(Checked::Floats)
}

/// What is allowed, in words.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bool => f.write_str("true or false"),
            Self::Int { min, max } => write!(f, "{min} to {max}"),
            Self::Float { min, max } if min == f64::MIN && max == f64::MAX => {
                f.write_str("any number")
            }
            Self::Float { min, max } => write!(f, "{min} to {max}"),
            Self::Duration { min, max } => {
                write!(
                    f,
                    "\"{}\" to \"{}\"",
                    units::print_duration(min),
                    units::print_duration(max)
                )
            }
            Self::Size { min, max } => {
                write!(f, "\"{}\" to \"{}\"", units::print_size(min), units::print_size(max))
            }
            Self::Text { form, .. } => f.write_str(form),
            Self::Choice(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                f.write_str(&words.join(", "))
            }
            Self::Strings { max, form } => write!(f, "a list of up to {max} {form}"),
            Self::Names { max, form } => write!(f, "one or a list of up to {max} {form}"),
            Self::Floats { max } => write!(f, "a number, or a list of 1 to {max} numbers"),
            Self::Counts { max } => write!(f, "NAME = 1 to {max}"),
            Self::Scalars { form, .. } => f.write_str(form),
            Self::Folder => f.write_str("the path of a folder"),
            Self::File => f.write_str("the path of a readable file"),
            Self::Secret => f.write_str("the path of a file with mode 0600"),
            Self::Env => f.write_str("the name of an environment variable (A-Z a-z 0-9 _)"),
        }
    }
}

impl OptionSpec {
    /// The default as a value, where it is one.
    #[must_use]
    pub fn default_value(&self) -> Option<Node> {
        match self.default {
            DefaultValue::Value(text) => Node::value(text, &Origin::Other("default".into())),
            DefaultValue::Required | DefaultValue::Unset | DefaultValue::Derived(_) => None,
        }
    }
}
