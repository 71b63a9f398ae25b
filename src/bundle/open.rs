//! Bundles and bare models on disk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind::NotFound, Read as _};
use std::path::Path;
use std::sync::Arc;

use super::archive::{MAX_BUNDLE_SIZE, is_tar};
use super::card::Card;
use super::{BASELINE_FILE, Bundle, BundleError, CARD_FILE};
use crate::engine::{LoadOptions, Model};
use crate::ids::ModelName;

/// The largest card, in bytes.
const MAX_CARD_SIZE: u64 = 4 << 20;

impl Bundle {
    /// Opens a bundle: a folder with a `card.toml`, or one file.
    ///
    /// # Errors
    /// A path that cannot be read, or is not a bundle.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let found = fs::metadata(path).map_err(|source| unread(path, source))?;
        if found.is_dir() {
            Self::open_folder(path)
        } else {
            Self::read(&read(path, MAX_BUNDLE_SIZE)?)
        }
    }

    /// Opens the built-in bundle of a model: `DIR/NAME/`, or else `DIR/NAME.bundle`.
    ///
    /// # Errors
    /// The errors of [`Bundle::open`], or a bundle of another model.
    pub fn built_in(dir: &Path, name: &ModelName) -> Result<Self, BundleError> {
        let folder = dir.join(name.as_str());
        let file = dir.join(format!("{name}.bundle"));
        let path = [folder, file].into_iter().find(|path| path.exists());
        let missing = || BundleError::NoSuchModel { name: name.clone(), dir: dir.to_owned() };
        let bundle = Self::open(&path.ok_or_else(missing)?)?;
        if bundle.card.name != *name {
            let found = bundle.card.name.clone();
            return Err(BundleError::OtherModel { wanted: name.clone(), found });
        }
        Ok(bundle)
    }

    /// Reads the card and the files it names only, because a folder may contain other files.
    fn open_folder(folder: &Path) -> Result<Self, BundleError> {
        let bytes = read(&folder.join(CARD_FILE), MAX_CARD_SIZE);
        let bytes = bytes.map_err(|error| without_card(folder, error))?;
        let not_text =
            || BundleError::File { name: CARD_FILE.into(), why: "not UTF-8 text".into() };
        let text = std::str::from_utf8(&bytes).map_err(|_| not_text())?;
        let labels = std::cell::RefCell::new(BTreeMap::new());
        let examined = Card::examine(text, |name| {
            let bytes =
                read(&folder.join(name), MAX_CARD_SIZE).map_err(|error| error.to_string())?;
            labels.borrow_mut().insert(name.to_owned(), bytes.clone());
            String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())
        });
        let (mut files, mut unread) = (labels.into_inner(), BTreeMap::new());
        let of_card = |card: &Card| {
            let golden = card.golden.iter();
            let golden = golden.flat_map(|golden| golden.samples.iter().chain([&golden.file]));
            let named = std::iter::once(&card.file).chain(golden).cloned();
            named.chain([BASELINE_FILE.to_owned()]).collect::<Vec<_>>()
        };
        for name in examined.0.as_ref().map(of_card).unwrap_or_default() {
            match read(&folder.join(&name), MAX_BUNDLE_SIZE) {
                Ok(bytes) => drop(files.insert(name, bytes)),
                // Golden vectors and golden samples are reported missing when they are needed.
                Err(BundleError::Read { source, .. }) if source.kind() == NotFound => {}
                Err(BundleError::Read { source, .. }) => {
                    unread.insert(name, format!("cannot be read ({source})"));
                }
                Err(other) => drop(unread.insert(name, other.to_string())),
            }
        }
        files.insert(CARD_FILE.to_owned(), bytes);
        let model = examined.0.as_ref().map(|card| card.file.clone());
        let embedded = model.and_then(|name| embed(files.get_mut(&name)?, folder));
        let mut bundle = Self::assemble(examined, files, unread, Some(folder.to_owned()))?;
        bundle.embedded = embedded.unwrap_or(0);
        Ok(bundle)
    }
}

/// Puts the external data of a model into the model, so that the digest covers it and the bundle can
/// be written as one file. Returns the number of bytes. A model that is refused stays as it is: the
/// reason is reported when it is loaded.
fn embed(model: &mut Vec<u8>, folder: &Path) -> Option<u64> {
    let (bytes, read) = Model::embed_external_data(model, folder).ok()??;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BUNDLE_SIZE {
        return None;
    }
    *model = bytes;
    Some(read)
}

/// Explains a folder without a card that is a model of another program.
fn without_card(folder: &Path, error: BundleError) -> BundleError {
    let has = |name: &str| folder.join(name).exists();
    let absent = matches!(&error, BundleError::Read { source, .. } if source.kind() == NotFound);
    let what = if !absent {
        return error;
    } else if has("saved_model.pb") {
        "it is a TensorFlow model: convert the folder with `python -m tf2onnx.convert \
         --saved-model FOLDER --output model.onnx`"
    } else if has("Manifest.json") {
        "it is a Core ML model: take the model that it was converted from, and export that to ONNX"
    } else if has("model.onnx") {
        "the folder has no card.toml; to try the model alone, give the file model.onnx"
    } else if has("model.tflite") {
        "the folder has no card.toml; to try the model alone, give the file model.tflite"
    } else {
        return error;
    };
    BundleError::Archive(format!("{}: {what}", folder.display()))
}

/// Loads the model of a file or of a bundle, without verifying it.
///
/// # Errors
/// The errors of [`Bundle::open`] and [`Bundle::model`].
pub fn open_model(path: &Path) -> Result<Arc<Model>, BundleError> {
    let found = fs::metadata(path).map_err(|source| unread(path, source))?;
    let is = |extension| path.extension().is_some_and(|found| found == extension);
    if found.is_dir() {
        return Bundle::open(path)?.model();
    }
    let bytes = read(path, MAX_BUNDLE_SIZE)?;
    if is("bundle") || (is_tar(&bytes) && !is("onnx")) {
        return Bundle::read(&bytes)?.model();
    }
    load_file(path, &bytes, LoadOptions::default())
}

/// Loads the model of a file with these options; the folder is that of the file.
///
/// # Errors
/// A file that cannot be read, or a model that cannot run here.
pub fn open_model_with(path: &Path, options: LoadOptions) -> Result<Arc<Model>, BundleError> {
    load_file(path, &read(path, MAX_BUNDLE_SIZE)?, options)
}

fn load_file(path: &Path, bytes: &[u8], options: LoadOptions) -> Result<Arc<Model>, BundleError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = Some(folder.unwrap_or(Path::new(".")).to_owned());
    let named = |source| BundleError::Model { file: path.display().to_string(), source };
    Model::load(bytes, &LoadOptions { folder, ..options }).map(Arc::new).map_err(named)
}

fn unread(path: &Path, source: io::Error) -> BundleError {
    BundleError::Read { path: path.to_owned(), source }
}

fn read(path: &Path, max: u64) -> Result<Vec<u8>, BundleError> {
    let failed = |source| unread(path, source);
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        return Err(BundleError::TooLarge { what: path.display().to_string(), max });
    }
    Ok(bytes)
}
