//! Bundles: models with their cards and golden vectors.
//!
//! A bundle is a folder or one file: `card.toml`, the ONNX model, `golden.npz`,
//! `golden_samples.json`. It contains everything that changes when a model is retrained. Golden
//! vectors verify the model, golden samples also verify the preprocessing of the card.

mod archive;
pub mod batched_arrays;
pub mod card;
mod check;
mod class_labels;
pub(crate) mod draft;
mod draft_states;
mod error;
mod feature_options;
pub(crate) mod feature_spec;
mod golden_samples;
mod golden_vectors;
pub(crate) mod layout;
mod open;
mod output_choice;
mod parse;
mod parse_features;
mod parse_state;
pub mod reference;
mod state_check;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use archive::{MAX_BUNDLE_SIZE, read_files, write_files};
pub use error::BundleError;
pub(crate) use golden_samples::{GoldenSamples, samples_lines};
pub use golden_vectors::GoldenError;
pub use open::{open_model, open_model_with};
pub(crate) use parse::file_name;
pub(crate) use state_check::state_mismatches;

use crate::config::problem::Problem;
use crate::drift::Baseline;
use crate::engine::{LoadOptions, Model};
use crate::ids::Digest;
use crate::tensor::Tensor;
use card::Card;

/// The card's file in every bundle.
pub(crate) const CARD_FILE: &str = "card.toml";
/// The file of the baseline that drift is found with. The card does not name it.
const BASELINE_FILE: &str = "baseline.npz";
/// The file of golden vectors that inferctl computes.
const VECTORS_FILE: &str = "golden.npz";

/// The files of a bundle and its parsed card. The model is not loaded yet.
#[derive(Clone, Debug)]
pub struct Bundle {
    card: Arc<Card>,
    /// By name: the card, the model, and what the card names besides.
    files: BTreeMap<String, Vec<u8>>,
    /// Files that exist but could not be read, with the reason.
    unread: BTreeMap<String, String>,
    /// The folder that may contain tensor data outside the model file.
    folder: Option<PathBuf>,
    /// Bytes of external data that were put into the model.
    embedded: u64,
}

/// A model that matches its card and reproduces its golden vectors and golden samples. Only
/// [`crate::pipeline::load`] creates one.
#[derive(Clone, Debug)]
pub struct VerifiedModel {
    pub card: Arc<Card>,
    pub model: Arc<Model>,
    /// The digest of the model file.
    pub digest: Digest,
    /// How its inputs and outputs are distributed while all is well.
    pub baseline: Option<Arc<Baseline>>,
    /// Things that are valid but probably unintended.
    pub warnings: Vec<String>,
}

/// A model with its card, completed by what the model shows.
struct CheckedModel {
    card: Arc<Card>,
    model: Arc<Model>,
    warnings: Vec<String>,
}

impl Bundle {
    /// Creates a bundle of files by name. Checks the card, and that the files it requires exist.
    /// Golden vectors are required by [`Bundle::load`] only.
    pub(crate) fn from_files(
        files: BTreeMap<String, Vec<u8>>,
        folder: Option<PathBuf>,
    ) -> Result<Self, BundleError> {
        let text = |name: &str| {
            let bytes = files.get(name).ok_or("not in the bundle")?;
            std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "not UTF-8 text")
        };
        let card = text(CARD_FILE)
            .map_err(|why| BundleError::File { name: CARD_FILE.into(), why: why.to_owned() })?;
        let examined = Card::examine(&card, |name| text(name).map_err(str::to_owned));
        Self::assemble(examined, files, BTreeMap::new(), folder)
    }

    /// Creates a bundle of a valid card and its files, or returns every problem at once: those of
    /// the card and those of the files it names.
    fn assemble(
        (card, problems): (Option<Card>, Vec<Problem>),
        files: BTreeMap<String, Vec<u8>>,
        unread: BTreeMap<String, String>,
        folder: Option<PathBuf>,
    ) -> Result<Self, BundleError> {
        let Some(card) = card else { return Err(problems.into()) };
        let bundle = Self { card: Arc::new(card), files, unread, folder, embedded: 0 };
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

    /// The bytes of external data that were put into the model when the bundle was opened.
    pub(crate) fn embedded_bytes(&self) -> u64 {
        self.embedded
    }

    /// Whether the bundle has golden vectors.
    pub(crate) fn has_golden(&self) -> bool {
        self.card.golden.as_ref().is_some_and(|golden| self.files.contains_key(&golden.file))
    }

    /// Reads the baseline, if the bundle has one.
    ///
    /// # Errors
    /// A file that is no baseline.
    pub fn baseline(&self) -> Result<Option<Baseline>, BundleError> {
        let wrong = |why: String| BundleError::File { name: BASELINE_FILE.to_owned(), why };
        if let Some(why) = self.unread.get(BASELINE_FILE) {
            return Err(wrong(why.clone()));
        }
        let Some(bytes) = self.files.get(BASELINE_FILE) else { return Ok(None) };
        Baseline::read(bytes).map(Some).map_err(|error| wrong(error.to_string()))
    }

    /// The bundle with this baseline in the place of its own.
    pub(crate) fn with_baseline(&self, bytes: Vec<u8>) -> Result<Self, BundleError> {
        let mut files = self.files.clone();
        files.insert(BASELINE_FILE.to_owned(), bytes);
        let bundle = Self::from_files(files, self.folder.clone())?;
        bundle.baseline()?;
        Ok(bundle)
    }

    /// Returns the files by name.
    pub(crate) fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// Returns the SHA-256 of the model file.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.model_bytes())
    }

    /// Returns a digest of all files, which changes with any of them.
    pub(crate) fn content_digest(&self) -> Digest {
        let each = self.files.iter().map(|(name, bytes)| format!("{name} {}\n", Digest::of(bytes)));
        Digest::of(each.collect::<String>().as_bytes())
    }

    fn model_bytes(&self) -> &[u8] {
        self.files.get(&self.card.file).map_or(&[], Vec::as_slice)
    }

    /// Loads the model and checks it against its card, without running the golden vectors.
    ///
    /// # Errors
    /// A model that cannot run here, or does not match its card.
    pub fn model(&self) -> Result<Arc<Model>, BundleError> {
        let (fitted, mismatch) = self.fit(self.run_time()?);
        mismatch.map_or(Ok(fitted.model), Err)
    }

    fn run_time(&self) -> Result<Arc<Model>, BundleError> {
        let options = LoadOptions {
            dims: self.card.dims.clone(),
            constants: self.card.constants.clone(),
            folder: self.folder.clone(),
        };
        let model = Model::load(self.model_bytes(), &options)
            .map_err(|source| BundleError::Model { file: self.card.file.clone(), source })?;
        Ok(Arc::new(model))
    }

    /// Completes the card for the model, and returns every point in which the two differ.
    fn fit(&self, model: Arc<Model>) -> (CheckedModel, Option<BundleError>) {
        let mut card = (*self.card).clone();
        let labels = class_labels::complete(&mut card, model.facts());
        let output_choice::OutputChoice { index, class_ids, mismatches, warnings } =
            output_choice::choose(&card, model.outputs(), model.facts());
        let mut all = check::mismatches(&card, model.inputs(), model.outputs(), index);
        all.extend(labels);
        all.extend(mismatches);
        let given = &self.card.dims;
        let open = model.open_dimensions().iter().filter(|name| !given.contains_key(*name));
        let open: Vec<&String> = open.collect();
        if !all.is_empty() && !open.is_empty() {
            all.push(format!("the model leaves the sizes {open:?} open; each is 1 without dims"));
        }
        card.output.name = index.and_then(|i| model.outputs().get(i)).map(|o| o.name.clone());
        card.output.class_ids = class_ids;
        let mismatch =
            || BundleError::Mismatch { name: self.card.name.clone(), mismatches: all.clone() };
        let mismatch = (!all.is_empty()).then(mismatch);
        (CheckedModel { card: Arc::new(card), model, warnings }, mismatch)
    }

    /// Returns the completed card and the model, without verifying them.
    ///
    /// # Errors
    /// The same as for [`Bundle::model`].
    pub(crate) fn card_and_model(&self) -> Result<(Arc<Card>, Arc<Model>), BundleError> {
        let (CheckedModel { card, model, .. }, mismatch) = self.fit(self.run_time()?);
        mismatch.map_or(Ok((card, model)), Err)
    }

    /// Loads the model and verifies it. `replay` runs golden samples through the pipeline, which is
    /// a higher layer: call [`crate::pipeline::load`], which passes it. The returned card names the
    /// output that is interpreted.
    ///
    /// # Errors
    /// Every error of [`Bundle::model`] and [`Bundle::prove`] at once. If there is none, golden
    /// samples with other predictions.
    pub(crate) fn load(
        &self,
        replay: impl golden_samples::SampleCheck,
    ) -> Result<VerifiedModel, BundleError> {
        let model = match self.run_time() {
            Ok(model) => model,
            Err(error) => {
                let golden = self.golden_file().err();
                let errors = std::iter::once(error).chain(golden).collect();
                return Err(BundleError::all(errors).err().unwrap_or_else(|| self.missing_model()));
            }
        };
        let proof = self.prove(&model).err();
        let (fitted, mismatch) = self.fit(model);
        BundleError::all(mismatch.into_iter().chain(proof).collect())?;
        let CheckedModel { card, model, warnings } = fitted;
        self.verify_samples(&model, replay)?;
        let baseline = self.baseline()?.map(Arc::new);
        Ok(VerifiedModel { card, model, digest: self.digest(), baseline, warnings })
    }

    /// Runs the golden vectors and returns the largest difference, or `None` if there are none.
    ///
    /// # Errors
    /// Golden vectors that are missing, or an output that differs by more than the card allows.
    pub(crate) fn prove(&self, model: &Arc<Model>) -> Result<Option<f64>, BundleError> {
        let prove = |(bytes, tolerance)| golden_vectors::prove(model, bytes, tolerance);
        self.golden()?.map(prove).transpose().map_err(|source| self.unproven(source))
    }

    /// Returns the inputs of the golden vectors, run by run.
    pub(crate) fn golden_inputs(&self, model: &Model) -> Result<Vec<Vec<Tensor>>, BundleError> {
        let inputs =
            self.golden()?.map(|(bytes, _)| golden_vectors::inputs(model, bytes)).transpose();
        inputs.map(Option::unwrap_or_default).map_err(|source| self.unproven(source))
    }

    /// Returns the file with the golden vectors, and their tolerance.
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

    /// Checks that the golden vectors exist and can be read, without running them.
    fn golden_file(&self) -> Result<(), BundleError> {
        let check = |(bytes, _)| golden_vectors::check_file(bytes);
        self.golden()?.map_or(Ok(()), check).map_err(|source| self.unproven(source))
    }

    fn unproven(&self, source: GoldenError) -> BundleError {
        BundleError::Golden { name: self.card.name.clone(), source }
    }
}
