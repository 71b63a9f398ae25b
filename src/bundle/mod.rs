//! What a model promises (its card) and how that is proved (golden vectors).
//!
//! A bundle is a folder or one file: `card.toml`, the ONNX model, `golden.npz`. What changes when
//! a model is retrained lives here, so a new model can never meet the wrong preprocessing.

mod archive;
pub mod card;
mod error;
mod fit;
mod golden;
mod open;
mod parse;
pub mod reference;
pub mod runs;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use archive::{BUNDLE_MAX, read_files, write_files};
pub use error::BundleError;
pub use golden::GoldenError;
pub use open::open_model;
pub(crate) use parse::file_name;

use crate::engine::{LoadOptions, Model};
use crate::ids::Digest;
use crate::tensor::Tensor;
use card::Card;

/// The card's file in every bundle.
pub(crate) const CARD: &str = "card.toml";
/// Golden vectors that are made rather than brought.
const GOLDEN: &str = "golden.npz";

/// A bundle's files, its card parsed; nothing is known of the model yet.
#[derive(Clone, Debug)]
pub struct Bundle {
    card: Arc<Card>,
    /// By name: the card, the model, and what the card names besides.
    files: BTreeMap<String, Vec<u8>>,
    /// Where a bundle in a folder may have tensor data outside its model file.
    folder: Option<PathBuf>,
}

/// A model that fits its card and gave the outputs its golden vectors ask for. Nothing but
/// [`Bundle::load`] makes one.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub card: Arc<Card>,
    pub model: Arc<Model>,
    /// Of the model file.
    pub digest: Digest,
}

impl Bundle {
    /// The files by name, the card checked and the files found that it cannot do without. Golden
    /// vectors are asked for by [`Bundle::load`]: to try a model out they are not needed.
    pub(crate) fn from_files(
        files: BTreeMap<String, Vec<u8>>,
        folder: Option<PathBuf>,
    ) -> Result<Self, BundleError> {
        let text = |name: &str| {
            let bytes = files.get(name).ok_or("not in the bundle")?;
            std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "not UTF-8 text")
        };
        let card = text(CARD).map_err(|why| BundleError::File { name: CARD.into(), why })?;
        let card = Card::parse(&card, |name| text(name).map_err(str::to_owned))?;
        if !files.contains_key(&card.file) {
            let why = "named in the card and not in the bundle";
            return Err(BundleError::File { name: card.file, why });
        }
        Ok(Self { card: Arc::new(card), files, folder })
    }

    #[must_use]
    pub fn card(&self) -> &Arc<Card> {
        &self.card
    }

    /// The files by name.
    pub(crate) fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// The bundle with golden vectors, where it had none: the file, and what the card says of it.
    pub(crate) fn with_golden(&self, npz: Vec<u8>, tolerance: f64) -> Result<Self, BundleError> {
        let mut files = self.files.clone();
        let card = files.entry(CARD.to_owned()).or_default();
        let section = format!("\n[golden]\nfile = \"{GOLDEN}\"\ntolerance = {tolerance:?}\n");
        card.extend_from_slice(section.as_bytes());
        files.insert(GOLDEN.to_owned(), npz);
        Self::from_files(files, self.folder.clone())
    }

    /// The SHA-256 of the model file.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.model_bytes())
    }

    fn model_bytes(&self) -> &[u8] {
        self.files.get(&self.card.file).map_or(&[], Vec::as_slice)
    }

    /// The model, checked against its card; the golden vectors are not run.
    ///
    /// # Errors
    /// A model that cannot run here, or that its card does not fit.
    pub fn model(&self) -> Result<Arc<Model>, BundleError> {
        let options = LoadOptions { dims: self.card.dims.clone(), folder: self.folder.clone() };
        let model = Model::load(self.model_bytes(), &options)
            .map_err(|source| BundleError::Model { file: self.card.file.clone(), source })?;
        let misfits = fit::misfits(&self.card, model.inputs(), model.outputs());
        if misfits.is_empty() {
            Ok(Arc::new(model))
        } else {
            Err(BundleError::Misfit { name: self.card.name.clone(), misfits })
        }
    }

    /// Loads the model and proves it: the one way to a model that may predict.
    ///
    /// # Errors
    /// As [`Bundle::model`], golden vectors that are missing, or an output that differs from its own.
    pub fn load(&self) -> Result<Loaded, BundleError> {
        let model = self.model()?;
        self.prove(&model)?;
        Ok(Loaded { card: self.card.clone(), model, digest: self.digest() })
    }

    /// Runs the golden vectors: the largest difference from them, or `None` where there are none.
    ///
    /// # Errors
    /// Golden vectors that are missing, or an output that differs from its own by more than the card
    /// allows.
    pub(crate) fn prove(&self, model: &Arc<Model>) -> Result<Option<f64>, BundleError> {
        let prove = |(bytes, tolerance)| golden::prove(model, bytes, tolerance);
        self.golden()?.map(prove).transpose().map_err(|source| self.unproven(source))
    }

    /// The inputs of the golden vectors, run by run.
    pub(crate) fn golden_inputs(&self, model: &Model) -> Result<Vec<Vec<Tensor>>, BundleError> {
        let inputs = self.golden()?.map(|(bytes, _)| golden::inputs(model, bytes)).transpose();
        inputs.map(Option::unwrap_or_default).map_err(|source| self.unproven(source))
    }

    /// The file with the golden vectors, and their tolerance.
    fn golden(&self) -> Result<Option<(&[u8], f64)>, BundleError> {
        let Some(golden) = &self.card.golden else { return Ok(None) };
        let bytes = self.files.get(&golden.file).ok_or_else(|| BundleError::File {
            name: golden.file.clone(),
            why: "these golden vectors are named in the card and not in the bundle: put them \
                  there, or leave [golden] out of the card",
        })?;
        Ok(Some((bytes, golden.tolerance)))
    }

    fn unproven(&self, source: GoldenError) -> BundleError {
        BundleError::Golden { name: self.card.name.clone(), source }
    }
}
