//! Finds the likely mistake in a card whose golden samples differ, and mistakes that its golden samples
//! would not detect. Both are found by trying the card with one change.

use std::sync::Arc;

use super::{Mismatch, What, check};
use crate::bundle::card::{Activation, Card, Layout, Normalize, OutputKind};
use crate::engine::Model;
use crate::pipeline::recording::Recording;

/// The number of pairs of channels that are tried: all pairs of ten channels.
const MAX_PAIRS: usize = 45;

/// A card with one change, and a description of it.
type Variant = (Card, String);

/// The likely cause, as a clause that ends the sentence.
pub(super) fn likely(
    card: &Arc<Card>,
    model: &Arc<Model>,
    recordings: &[Recording],
    tolerance: f64,
    mismatch: &Mismatch,
) -> String {
    match &mismatch.what {
        What::Unfit(_) => return "correct the card".to_owned(),
        What::Reject { .. } => return "correct the recording, or the card's channels".to_owned(),
        What::Early { .. } | What::Missing { .. } => {
            return "likely cause: window.length, window.hop or window.max_gap in the card is not \
                    what the samples were recorded with"
                .to_owned();
        }
        What::Differs { .. } => {}
    }
    let right = |card: &Card| check(&Arc::new(card.clone()), model, recordings, tolerance).is_ok();
    let tried = layouts(card)
        .chain(exchanges(card, MAX_PAIRS))
        .chain(activations(card))
        .chain(bare(card))
        .chain(relabelled(card));
    if let Some((_, change)) = tried.into_iter().find(|(card, _)| right(card)) {
        return format!("they come out right {change}: correct the card");
    }
    let raw = card.inputs.iter().all(|input| input.normalize == Normalize::None);
    let normalize = if raw { "normalize (the card has none)" } else { "normalize" };
    let featured = card.inputs.iter().any(|input| !input.features.blocks.is_empty());
    let blocks = if featured { "the blocks of features, " } else { "" };
    let vectors = "where its golden vectors hold, the model itself is right";
    format!(
        "likely cause: {blocks}{normalize}, layout, the order of channels or labels, or \
         output.activation in the card is not what the model was made for; {vectors}"
    )
}

/// Mistakes in the card that these recordings would not detect, a line for each.
#[must_use]
pub fn undetected_changes(
    card: &Arc<Card>,
    model: &Arc<Model>,
    recordings: &[Recording],
    tolerance: f64,
) -> Vec<String> {
    let unnoticed = |(card, change): Variant| {
        let passes = check(&Arc::new(card), model, recordings, tolerance).is_ok();
        passes.then(|| format!("they come out the same {change}"))
    };
    let neighbours = exchanges(card, MAX_PAIRS);
    let tried = layouts(card).chain(neighbours).chain(activations(card)).chain(bare(card));
    tried.chain(hops(card)).chain(relabelled(card)).filter_map(unnoticed).collect()
}

fn variant(card: &Card, change: impl FnOnce(&mut Card)) -> Card {
    let mut card = card.clone();
    change(&mut card);
    card
}

fn layouts(card: &Card) -> impl Iterator<Item = Variant> {
    let windowed = card.window.as_ref().is_some_and(|window| window.length > 1);
    let inputs = card.inputs.iter().enumerate().filter(move |_| windowed);
    inputs.filter(|(_, input)| input.channels.len() != 1).map(|(place, input)| {
        let Layout::Series(order) = input.layout;
        let other = Layout::Series(order.reversed());
        let change = |card: &mut Card| {
            card.inputs.iter_mut().skip(place).take(1).for_each(|input| input.layout = other);
        };
        (variant(card, change), format!("with layout = {:?}", other.name()))
    })
}

/// Two channels of an input are exchanged.
fn exchanges(card: &Card, max: usize) -> impl Iterator<Item = Variant> {
    let pairs = card.inputs.iter().enumerate().flat_map(|(place, input)| {
        let count = input.channels.len();
        (0..count).flat_map(move |a| (a + 1..count).map(move |b| (place, a, b)))
    });
    pairs.take(max).filter_map(|(place, a, b)| {
        let names = &card.inputs.get(place)?.channels;
        let change =
            format!("with the channels {:?} and {:?} exchanged", names.get(a)?, names.get(b)?);
        let swap = |card: &mut Card| {
            let input = card.inputs.get_mut(place);
            input.into_iter().for_each(|input| input.channels.swap(a, b));
        };
        Some((variant(card, swap), change))
    })
}

fn activations(card: &Card) -> impl Iterator<Item = Variant> {
    let all = [
        (Activation::None, "none"),
        (Activation::Softmax, "softmax"),
        (Activation::Sigmoid, "sigmoid"),
    ];
    let scored = matches!(
        card.output.kind,
        OutputKind::Classification { .. }
            | OutputKind::MultiLabel { .. }
            | OutputKind::Anomaly { .. }
    );
    let others = all
        .into_iter()
        .filter(move |(activation, _)| scored && *activation != card.output.activation);
    others.map(|(activation, name)| {
        let card = variant(card, |card| card.output.activation = activation);
        (card, format!("with activation = {name:?}"))
    })
}

/// A normalisation of the card is missing.
fn bare(card: &Card) -> impl Iterator<Item = Variant> {
    let inputs = card.inputs.iter().enumerate();
    inputs.filter(|(_, input)| input.normalize != Normalize::None).map(|(place, _)| {
        let change = |card: &mut Card| {
            let input = card.inputs.get_mut(place);
            input.into_iter().for_each(|input| input.normalize = Normalize::None);
        };
        (variant(card, change), "without normalize".to_owned())
    })
}

fn hops(card: &Card) -> impl Iterator<Item = Variant> {
    card.window.iter().map(|window| {
        let change = |card: &mut Card| {
            card.window.iter_mut().for_each(|window| window.hop = window.hop.saturating_add(1));
        };
        (variant(card, change), format!("with another hop than {}", window.hop))
    })
}

/// Two labels (or names of values) are exchanged.
fn relabelled(card: &Card) -> impl Iterator<Item = Variant> {
    let names = match &card.output.kind {
        OutputKind::Classification { labels, .. } | OutputKind::MultiLabel { labels, .. } => {
            labels.as_slice()
        }
        OutputKind::Regression { names, .. } => names.as_slice(),
        OutputKind::Anomaly { .. } | OutputKind::Raw => &[],
    };
    let count = names.len();
    let pairs = (0..count).flat_map(move |a| (a + 1..count).map(move |b| (a, b)));
    pairs.take(MAX_PAIRS).filter_map(move |(a, b)| {
        let change =
            format!("with the labels {:?} and {:?} exchanged", names.get(a)?, names.get(b)?);
        let swap = |card: &mut Card| match &mut card.output.kind {
            OutputKind::Classification { labels, .. } | OutputKind::MultiLabel { labels, .. } => {
                labels.swap(a, b)
            }
            OutputKind::Regression { names, .. } => names.swap(a, b),
            OutputKind::Anomaly { .. } | OutputKind::Raw => {}
        };
        Some((variant(card, swap), change))
    })
}
