//! Golden samples: recordings of sensor data with the expected predictions.
//!
//! Unlike golden vectors, they also verify decoding, windows and normalisation. Running them needs
//! the pipeline, a higher layer, so this module contains the file and the lines of the card only.

use std::sync::Arc;

use super::card::Card;
use super::{Bundle, BundleError, CARD_FILE, VECTORS_FILE};
use crate::engine::Model;

/// The file of golden samples that inferctl computes.
const SAMPLES_FILE: &str = "golden_samples.json";
/// The largest size of the file, in bytes. A few recordings are enough, and every start runs them.
const MAX_SAMPLES_SIZE: usize = 4 << 20;

/// The golden samples of a bundle, not read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GoldenSamples<'a> {
    pub(crate) bytes: &'a [u8],
    /// Largest difference allowed, in the units of the prediction's scores and values.
    pub(crate) tolerance: f64,
}

/// Runs golden samples through a pipeline made of this card and model; the error says which
/// prediction differs and why.
pub(crate) trait SampleCheck:
    FnOnce(&Arc<Card>, &Arc<Model>, GoldenSamples<'_>) -> Result<(), String>
{
}

impl<F> SampleCheck for F where
    F: FnOnce(&Arc<Card>, &Arc<Model>, GoldenSamples<'_>) -> Result<(), String>
{
}

impl Bundle {
    /// Runs the golden samples, if there are any.
    ///
    /// # Errors
    /// Golden samples that are missing or too large, or the error of `replay`.
    pub(crate) fn verify_samples(
        &self,
        model: &Arc<Model>,
        replay: impl SampleCheck,
    ) -> Result<(), BundleError> {
        let Some(golden) = &self.card.golden else { return Ok(()) };
        let Some(file) = &golden.samples else { return Ok(()) };
        let bytes = self.files.get(file).ok_or_else(|| {
            let why = self.unread.get(file).map_or("not in the bundle", String::as_str);
            let why = format!(
                "these golden samples are named in the card and {why}: put them there, or leave \
                 `samples` out of the card's [golden]"
            );
            BundleError::File { name: file.clone(), why }
        })?;
        let refused =
            |why| BundleError::Samples { name: self.card.name.clone(), file: file.clone(), why };
        if bytes.len() > MAX_SAMPLES_SIZE {
            return Err(refused(format!(
                "the file has more than the {MAX_SAMPLES_SIZE} bytes allowed"
            )));
        }
        let (fitted, _) = self.fit(model.clone());
        replay(&fitted.card, model, GoldenSamples { bytes, tolerance: golden.samples_tolerance })
            .map_err(refused)
    }

    /// Adds golden vectors to a bundle without them: the file, and the lines of the card.
    pub(crate) fn with_golden(&self, npz: Vec<u8>, tolerance: f64) -> Result<Self, BundleError> {
        let lines = format!("file = \"{VECTORS_FILE}\"\ntolerance = {tolerance:?}\n");
        self.with_file(VECTORS_FILE, npz, &lines)
    }

    /// Whether the card names golden samples that the bundle contains.
    pub(crate) fn has_samples(&self) -> bool {
        self.samples_name().is_some_and(|name| self.files.contains_key(name))
    }

    /// Adds golden samples to a bundle without them. If the card already names their file, they get
    /// that name and the card does not change.
    pub(crate) fn with_samples(&self, json: Vec<u8>, tolerance: f64) -> Result<Self, BundleError> {
        if let Some(name) = self.samples_name() {
            let mut files = self.files.clone();
            files.insert(name.to_owned(), json);
            return Self::from_files(files, self.folder.clone());
        }
        self.with_file(SAMPLES_FILE, json, &samples_lines(SAMPLES_FILE, tolerance))
    }

    fn samples_name(&self) -> Option<&str> {
        self.card.golden.as_ref()?.samples.as_deref()
    }

    /// Adds a file, and lines to the `[golden]` table of the card, which is created if necessary.
    /// Existing keys of the table do not change.
    fn with_file(&self, name: &str, bytes: Vec<u8>, lines: &str) -> Result<Self, BundleError> {
        let mut files = self.files.clone();
        let card =
            String::from_utf8_lossy(files.get(CARD_FILE).map_or(&[], Vec::as_slice)).into_owned();
        let card = if self.card.golden.is_none() {
            format!("{}\n\n[golden]\n{lines}", card.trim_end())
        } else {
            let (before, after) = split_after_golden(&card).ok_or_else(|| BundleError::File {
                name: CARD_FILE.to_owned(),
                why: "its golden options are not under a [golden] line of their own, so no other \
                      can be added to them: write them so"
                    .to_owned(),
            })?;
            let new = lines.split_inclusive('\n').filter(|line| !has_key(after, key(line)));
            format!("{before}{}{after}", new.collect::<String>())
        };
        files.insert(CARD_FILE.to_owned(), card.into_bytes());
        files.insert(name.to_owned(), bytes);
        Self::from_files(files, self.folder.clone())
    }
}

/// Returns the key of a line of TOML.
fn key(line: &str) -> &str {
    line.split('=').next().unwrap_or_default().trim().trim_matches('"')
}

/// Whether the table whose header precedes this text has a line for the key.
fn has_key(table: &str, wanted: &str) -> bool {
    let lines = table.lines().take_while(|line| !line.trim_start().starts_with('['));
    lines.into_iter().any(|line| key(line) == wanted)
}

/// Returns the lines of a card that name golden samples.
pub(crate) fn samples_lines(file: &str, tolerance: f64) -> String {
    format!("samples = \"{file}\"\nsamples_tolerance = {tolerance:?}\n")
}

/// Splits the text of a card at its `[golden]` line.
fn split_after_golden(card: &str) -> Option<(&str, &str)> {
    let mut end = 0_usize;
    for line in card.split_inclusive('\n') {
        end = end.saturating_add(line.len());
        let header = line.split('#').next().unwrap_or_default();
        let header: String = header.chars().filter(|c| !c.is_whitespace()).collect();
        if header == "[golden]" && line.ends_with('\n') {
            return card.split_at_checked(end);
        }
    }
    None
}
