//! What an option is: its type, bounds, default and meaning. One table of these checks a file,
//! supplies its defaults and writes its documentation.

use std::fmt;
use std::time::Duration;

use super::tree::{Node, Origin, Value};
use super::units;

/// A table of options: `"path": kind => fallback, eg "example", "meaning";`
macro_rules! options {
    ($($path:literal: $kind:expr => $fallback:expr, $(eg $example:literal,)? $meaning:literal;)*) => {
        &[$($crate::config::schema::Opt {
            path: $path,
            kind: $kind,
            fallback: $fallback,
            meaning: $meaning,
            example: concat!($($example)?),
        }),*]
    };
}
pub(crate) use options;

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// With `[]` for each element of an array of tables: `stream[].publish.topic`.
    pub path: &'static str,
    pub kind: Kind,
    pub fallback: Fallback,
    /// Sentences for the operator: what it does, its unit, when to change it.
    pub meaning: &'static str,
    /// TOML; empty where the default shows the form.
    pub example: &'static str,
}

/// What holds where an option is not written.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    Required,
    /// Off, or nothing.
    Absent,
    /// This TOML value.
    Is(&'static str),
    /// What the words say; the code that reads the option knows how.
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
    Span {
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
    Texts {
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
    Span(Duration),
    Size(u64),
    Text(String),
    Texts(Vec<String>),
    Floats(Vec<f64>),
    Counts(Vec<(String, usize)>),
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
            (Self::Span { min, max }, Value::Text(text)) => {
                let span = units::span(text).ok_or("not a span of time")?;
                return within(span, min, max).map(Checked::Span);
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
            (Self::Choice(_), _) => return Err("not one of the choices".into()),
            (Self::Texts { max, .. }, Value::List(list)) => return texts(list, max),
            (Self::Names { max, .. }, Value::List(list)) => return texts(list, max),
            (Self::Names { .. }, Value::Text(text)) => {
                return plain_text(text, 256).map(|text| Checked::Texts(vec![text]));
            }
            (Self::Floats { max }, Value::List(list)) => return floats(list, max),
            (Self::Floats { .. }, number) => Checked::Floats(vec![float(number)?]),
            (Self::Counts { max }, Value::Table(table)) => {
                let count = |(key, node): (&String, &Node)| match node.value {
                    Value::Int(n) => usize::try_from(within(n, 1, max)?)
                        .map(|n| (key.clone(), n))
                        .map_err(|_| "out of bounds".to_owned()),
                    _ => Err(format!("{key} is not a whole number")),
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
            Self::Int { .. } => "a whole number",
            Self::Float { .. } => "a number",
            Self::Span { .. } => "a span of time in quotes",
            Self::Size { .. } => "a number of bytes",
            Self::Text { .. } | Self::Choice(_) | Self::Env => "a text in quotes",
            Self::Texts { .. } => "a list of texts",
            Self::Names { .. } => "a text or a list of texts",
            Self::Floats { .. } => "a number or a list of numbers",
            Self::Counts { .. } => "a table of whole numbers",
            Self::Folder => "a folder's path in quotes",
            Self::File | Self::Secret => "a file's path in quotes",
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
        Value::Text(text) => units::size(text).ok_or_else(|| "not a number of bytes".into()),
        _ => Err("not a number of bytes".into()),
    }
}

fn plain_text(text: &str, max: usize) -> Result<String, String> {
    if text.is_empty() {
        Err("empty".into())
    } else if text.len() > max {
        Err(format!("{} bytes long, at most {max} are taken", text.len()))
    } else if text.chars().any(char::is_control) {
        Err("holds a control character".into())
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

fn texts(list: &[Node], max: usize) -> Result<Checked, String> {
    within(list.len(), 0, max).map_err(|_| format!("{} texts, at most {max}", list.len()))?;
    let text = |node: &Node| match &node.value {
        Value::Text(text) => plain_text(text, 256).map_err(|why| format!("{text:?} is {why}")),
        other => Err(format!("{other} is not a text in quotes")),
    };
    list.iter().map(text).collect::<Result<_, _>>().map(Checked::Texts)
}

fn floats(list: &[Node], max: usize) -> Result<Checked, String> {
    within(list.len(), 1, max).map_err(|_| format!("{} numbers, 1 to {max}", list.len()))?;
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
            Self::Span { min, max } => {
                write!(f, "\"{}\" to \"{}\"", units::print_span(min), units::print_span(max))
            }
            Self::Size { min, max } => {
                write!(f, "\"{}\" to \"{}\"", units::print_size(min), units::print_size(max))
            }
            Self::Text { form, .. } => f.write_str(form),
            Self::Choice(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
                f.write_str(&words.join(", "))
            }
            Self::Texts { max, form } => write!(f, "at most {max} of {form}"),
            Self::Names { max, form } => write!(f, "one or a list of at most {max} of {form}"),
            Self::Floats { max } => write!(f, "a number, or a list of 1 to {max}"),
            Self::Counts { max } => write!(f, "NAME = 1 to {max}"),
            Self::Folder => f.write_str("the path of a folder"),
            Self::File => f.write_str("the path of a file that can be read"),
            Self::Secret => f.write_str("the path of a file of mode 0600"),
            Self::Env => f.write_str("the name of an environment variable of A-Z a-z 0-9 _"),
        }
    }
}

impl Opt {
    /// The default as a value, where it is one.
    #[must_use]
    pub fn default_value(&self) -> Option<Node> {
        match self.fallback {
            Fallback::Is(text) => Node::value(text, &Origin::Other("default".into())),
            Fallback::Required | Fallback::Absent | Fallback::Derived(_) => None,
        }
    }
}
