//! Whether the values that a stream joins make up the samples of its model.

use crate::config::{Join, Missing, Stream};
use crate::pipeline::problems::Problems;

/// Checks the sources of a join against the channels of the model. `whole` is the count of its
/// numbers if it has no window.
pub(super) fn check(
    stream: &Stream,
    join: &Join,
    whole: Option<usize>,
    channels: &[String],
    problems: &mut Problems,
) {
    let missing = &stream.payload.reading.missing;
    if missing.all().any(|rule| matches!(rule, Missing::Nan | Missing::Value(_))) {
        let problem = "the last value of a joined channel stands for a missing one: use \
                       \"reject\", \"skip\" or \"hold\"";
        problems.add("payload.missing", problem);
    }
    if join.by.is_some() && !missing.fields.is_empty() {
        let problem = "names fields, and the topic names the channel: give one rule for all";
        problems.add("payload.missing", problem);
    }
    if channels.is_empty() {
        let problem = "values are joined by the names of channels, and neither payload.fields nor \
                       the card has names";
        return problems.add("payload.join", problem);
    }
    if let Some(width) = whole.filter(|width| *width != channels.len()) {
        let problem = format!(
            "the model takes {width} numbers without a window, and {} joined channels have one \
             each",
            channels.len()
        );
        problems.add("payload.join", problem);
    }
    if let ([only], None) = (join.sources.as_slice(), &join.by)
        && only.payload.fields.is_empty()
    {
        // Its messages are samples.
        return;
    }
    let named = |name: &str| join.by.as_deref() == Some(name);
    let given = || join.sources.iter().flat_map(|source| &source.payload.fields);
    if let Some(unknown) = given().find(|field| !channels.contains(field)) {
        let problem = format!("{unknown:?} is no channel of the model, which has {channels:?}");
        problems.add("source.fields", problem);
    }
    if join.sources.iter().any(|source| source.topic.captures().any(named)) {
        return;
    }
    if let Some(missing) = channels.iter().find(|channel| !given().any(|field| field == *channel)) {
        let problem = format!("no source has the channel {missing:?} of the model");
        problems.add("source.fields", problem);
    }
}
