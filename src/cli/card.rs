//! `inferd card`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::contained;
use crate::bundle::draft::Draft;
use crate::bundle::{Bundle, BundleError, open_model_with};
use crate::engine::LoadOptions;
use crate::ids::ModelName;
use crate::terminal::{Exit, Failure, print, write_atomic};

/// Write a first model card for an ONNX file
///
/// Writes what the model shows: inputs with their shapes, a guess at windows and layout, the output
/// with its classes and whether a softmax or sigmoid is part of the graph, and an example of a
/// stream. Lines marked with CHECK need your knowledge of the training: names and order of channels
/// and labels, normalization. The card is checked against the model; what does not fit is reported on
/// standard error.
///
/// --dim gives the size of a dimension that the model leaves open, by its name, or by input and
/// position as in `--dim 'input[1]=512'`. --constant gives the value of an input that is always the
/// same, as in `--constant sr=16000`. Both become part of the card.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferd card models/motion/model.onnx
  inferd card models/motion/model.onnx --name motion --out card.toml")]
pub(super) struct Args {
    /// An .onnx or .tflite file
    model: PathBuf,
    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Name of the model [default: of its file, or of the folder of a file model.onnx]
    #[arg(long)]
    name: Option<String>,
    #[arg(
        long = "dim",
        value_name = "NAME=SIZE",
        value_parser = size,
        help = "Size of a dimension that the model leaves open, by name or as INPUT[POSITION]"
    )]
    dims: Vec<(String, usize)>,
    /// Value of an input that is always the same
    #[arg(long = "constant", value_name = "INPUT=VALUE", value_parser = value)]
    constants: Vec<(String, f64)>,
}

fn pair<T: std::str::FromStr>(text: &str, what: &str) -> Result<(String, T), String> {
    let (name, value) = text.rsplit_once('=').ok_or_else(|| format!("not {what}"))?;
    let value = value.parse().map_err(|_| format!("{value:?} is not a number"))?;
    Ok((name.to_owned(), value))
}

fn size(text: &str) -> Result<(String, usize), String> {
    pair(text, "NAME=SIZE")
}

fn value(text: &str) -> Result<(String, f64), String> {
    pair(text, "INPUT=VALUE")
}

pub(super) fn card(args: &Args) -> Result<(), Failure> {
    let dims: BTreeMap<_, _> = args.dims.iter().cloned().collect();
    let constants = args.constants.iter().map(|(name, value)| (name.clone(), vec![*value]));
    let options = LoadOptions { dims: dims.clone(), constants: constants.collect(), folder: None };
    let model = open_model_with(&args.model, options)?;
    contained::loaded();
    let name = name(args)?;
    let sizes: Vec<String> = dims.iter().map(|(name, size)| format!("{name:?} = {size}")).collect();
    let dims = if sizes.is_empty() {
        String::new()
    } else {
        format!("dims = {{ {} }}\n", sizes.join(", "))
    };
    let constant = |(name, value): &(String, f64)| {
        format!("\n# Always the same.\n[[input]]\nname = {name:?}\nvalue = {value}\n")
    };
    let constants: String = args.constants.iter().map(constant).collect();
    let file = args.model.file_name().unwrap_or_default().to_string_lossy();
    let draft =
        Draft { name: &name, file: &file, dims: &dims, constants: &constants, model: &model };
    let text = draft.card();
    if let Err(error) = fits(&args.model, &file, &text) {
        log::warn!("this card needs changes: {error}");
    }
    match &args.out {
        Some(path) => {
            write_atomic(path, text.as_bytes())?;
            print(&format!("written to {}\n", path.display()))
        }
        None => print(&text),
    }
}

/// The name of the model: given, or from its path.
fn name(args: &Args) -> Result<String, Failure> {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = match &args.name {
        Some(name) => name.clone(),
        None => {
            let own = stem(&args.model);
            let folder = args.model.parent().and_then(Path::file_name);
            let folder = folder.map(|folder| folder.to_string_lossy().into_owned());
            let folder = folder.filter(|_| own == "model");
            let plain =
                |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
            folder.unwrap_or(own).chars().map(plain).collect()
        }
    };
    match ModelName::parse(&text) {
        Ok(_) => Ok(text),
        Err(why) => Err(Failure::new(Exit::Usage, format!("--name {text:?}: {why}"))),
    }
}

/// Checks the card against the model.
fn fits(model: &Path, file: &str, card: &str) -> Result<(), BundleError> {
    let unread = |source| BundleError::Read { path: model.to_owned(), source };
    let bytes = std::fs::read(model).map_err(unread)?;
    let files = [("card.toml", card.as_bytes().to_vec()), (file, bytes)];
    let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
    let folder = model.parent().map(Path::to_owned);
    Bundle::from_files(files, folder)?.card_and_model().map(drop)
}
