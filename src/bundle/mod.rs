//! What a model promises (its card) and how that is proved (golden vectors).
//!
//! A bundle is a folder or one file: `card.toml`, the ONNX model, `golden.npz`,
//! `golden_samples.json`. What changes when a model is retrained lives here. Golden vectors prove the
//! model, golden samples prove the card's preprocessing as well.

mod archive;
pub mod card;
mod error;
mod fit;
mod golden;
mod open;
mod output;
mod parse;
pub mod reference;
pub mod runs;
mod samples;
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
pub(crate) use samples::{GoldenSamples, samples_lines};

use crate::config::problem::Problem;
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
    /// Files that are there and could not be read, with the reason.
    unread: BTreeMap<String, String>,
    /// Where a bundle in a folder may have tensor data outside its model file.
    folder: Option<PathBuf>,
}

/// A model that fits its card and gave what its golden vectors and golden samples ask for. Nothing but
/// [`crate::pipeline::load`] makes one.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub card: Arc<Card>,
    pub model: Arc<Model>,
    /// Of the model file.
    pub digest: Digest,
    /// What is right in the strict sense and hardly what was meant.
    pub warnings: Vec<String>,
}

/// A model with the card as it was read for it.
struct Fitted {
    card: Arc<Card>,
    model: Arc<Model>,
    warnings: Vec<String>,
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
        let card = text(CARD)
            .map_err(|why| BundleError::File { name: CARD.into(), why: why.to_owned() })?;
        let examined = Card::examine(&card, |name| text(name).map_err(str::to_owned));
        Self::assemble(examined, files, BTreeMap::new(), folder)
    }

    /// A bundle of a card without problems and its files. Else every problem at once: the card's, and
    /// those of the files it names.
    fn assemble(
        (card, problems): (Option<Card>, Vec<Problem>),
        files: BTreeMap<String, Vec<u8>>,
        unread: BTreeMap<String, String>,
        folder: Option<PathBuf>,
    ) -> Result<Self, BundleError> {
        let Some(card) = card else { return Err(problems.into()) };
        let bundle = Self { card: Arc::new(card), files, unread, folder };
        let missing = !bundle.files.contains_key(&bundle.card.file);
        if problems.is_empty() && !missing {
            return Ok(bundle);
        }
        let mut errors = Vec::new();
        if !problems.is_empty() {
            errors.push(problems.into());
        }
        let loaded =
            if missing { Err(bundle.missing_model()) } else { bundle.run_time().map(drop) };
        errors.extend(loaded.err());
        errors.extend(bundle.golden_file().err());
        BundleError::all(errors)?;
        Ok(bundle)
    }

    fn missing_model(&self) -> BundleError {
        let name = self.card.file.clone();
        let why = self.unread.get(&name).cloned();
        let why = why.unwrap_or_else(|| "named in the card and not in the bundle".to_owned());
        BundleError::File { name, why }
    }

    #[must_use]
    pub fn card(&self) -> &Arc<Card> {
        &self.card
    }

    /// Whether it has golden vectors.
    pub(crate) fn has_golden(&self) -> bool {
        self.card.golden.as_ref().is_some_and(|golden| self.files.contains_key(&golden.file))
    }

    /// The files by name.
    pub(crate) fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
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
        let (fitted, misfit) = self.fit(self.run_time()?);
        misfit.map_or(Ok(fitted.model), Err)
    }

    fn run_time(&self) -> Result<Arc<Model>, BundleError> {
        let options = LoadOptions { dims: self.card.dims.clone(), folder: self.folder.clone() };
        let model = Model::load(self.model_bytes(), &options)
            .map_err(|source| BundleError::Model { file: self.card.file.clone(), source })?;
        Ok(Arc::new(model))
    }

    /// The card read for the model, and every point in which the two differ.
    fn fit(&self, model: Arc<Model>) -> (Fitted, Option<BundleError>) {
        let output::Chosen { index, class_ids, misfits, warnings } =
            output::choose(&self.card, model.outputs(), model.facts());
        let mut all = fit::misfits(&self.card, model.inputs(), model.outputs(), index);
        all.extend(misfits);
        let mut card = (*self.card).clone();
        card.output.name = index.and_then(|i| model.outputs().get(i)).map(|o| o.name.clone());
        card.output.class_ids = class_ids;
        let misfit = || BundleError::Misfit { name: self.card.name.clone(), misfits: all.clone() };
        let misfit = (!all.is_empty()).then(misfit);
        (Fitted { card: Arc::new(card), model, warnings }, misfit)
    }

    /// The card read for the model, and the model: for trying them out, nothing is proved.
    ///
    /// # Errors
    /// As [`Bundle::model`].
    pub(crate) fn card_and_model(&self) -> Result<(Arc<Card>, Arc<Model>), BundleError> {
        let (Fitted { card, model, .. }, misfit) = self.fit(self.run_time()?);
        misfit.map_or(Ok((card, model)), Err)
    }

    /// Loads the model and proves it. `replay` runs golden samples through the pipeline, which is a
    /// layer above this one: call [`crate::pipeline::load`], which brings it. The card that comes
    /// with it names the output that is interpreted.
    ///
    /// # Errors
    /// Everything that is wrong, at once: as [`Bundle::model`] and [`Bundle::prove`]. Where nothing
    /// is, golden samples that come out differently.
    pub(crate) fn load(&self, replay: impl samples::Replay) -> Result<Loaded, BundleError> {
        let model = match self.run_time() {
            Ok(model) => model,
            Err(error) => {
                let golden = self.golden_file().err();
                let errors = std::iter::once(error).chain(golden).collect();
                return Err(BundleError::all(errors).err().unwrap_or_else(|| self.missing_model()));
            }
        };
        let proof = self.prove(&model).err();
        let (fitted, misfit) = self.fit(model);
        BundleError::all(misfit.into_iter().chain(proof).collect())?;
        let Fitted { card, model, warnings } = fitted;
        self.prove_samples(&model, replay)?;
        Ok(Loaded { card, model, digest: self.digest(), warnings })
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
        let missing = || {
            let why = self.unread.get(&golden.file).map_or("not in the bundle", String::as_str);
            let why = format!(
                "these golden vectors are named in the card and {why}: put them there, or leave \
                 [golden] out of the card"
            );
            BundleError::File { name: golden.file.clone(), why }
        };
        match self.files.get(&golden.file) {
            Some(bytes) => Ok(Some((bytes, golden.tolerance))),
            None if !golden.required && !self.unread.contains_key(&golden.file) => Ok(None),
            None => Err(missing()),
        }
    }

    /// Whether the golden vectors are there and can be read; they are not run.
    fn golden_file(&self) -> Result<(), BundleError> {
        let check = |(bytes, _)| golden::check_file(bytes);
        self.golden()?.map_or(Ok(()), check).map_err(|source| self.unproven(source))
    }

    fn unproven(&self, source: GoldenError) -> BundleError {
        BundleError::Golden { name: self.card.name.clone(), source }
    }
}
