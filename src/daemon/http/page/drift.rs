//! Drift: each quantity now beside its baseline.

use super::chart;
use super::html::{count, esc};
use crate::drift::{BaselineSource, DriftReport, QuantityReport};

/// Quantities that are shown at once; the others are folded.
const SHOWN: usize = 4;

/// Renders the state, the last alarm and the quantities, the worst first.
pub(super) fn render(drift: &DriftReport) -> String {
    let state = name_of(&drift.state);
    let source = match (drift.baseline, drift.learned) {
        (BaselineSource::None, part) => {
            let part = part.unwrap_or_default();
            format!("learning what is usual: {:.0} %", 100.0 * part)
        }
        (source, _) => {
            format!("{} windows compared, baseline: {}", count(drift.windows), name_of(&source))
        }
    };
    let alarm = drift.last_alarm.as_ref().map(|alarm| {
        let by = match (alarm.shift, alarm.psi) {
            (Some(shift), _) => format!(" by {shift:+.1} standard deviations"),
            (_, Some(psi)) => format!(", PSI {psi:.2}"),
            _ => String::new(),
        };
        format!("<p class=\"warn\">Last alarm: <b>{}</b> changed{by}</p>", esc(&alarm.quantity))
    });
    let mut quantities: Vec<&QuantityReport> = drift.quantities.iter().collect();
    quantities.sort_by(|a, b| b.level.total_cmp(&a.level));
    let (first, others) = quantities.split_at(quantities.len().min(SHOWN));
    let rows = |of: &[&QuantityReport]| -> String { of.iter().map(|q| row(q)).collect() };
    let others = match others.len() {
        0 => String::new(),
        more => format!(
            "<details><summary>{more} more quantities</summary><div class=\"quantities\">{}</div>\
             </details>",
            rows(others)
        ),
    };
    format!(
        "<section class=\"drift\"><p>Drift <span class=\"pill {state}\">{state}</span> \
         <span class=\"quiet\">{source}</span></p>{}<div class=\"quantities\">{}</div>{others}\
         </section>",
        alarm.unwrap_or_default(),
        rows(first)
    )
}

fn row(quantity: &QuantityReport) -> String {
    let QuantityReport { name, state, level, shift, psi, expected, found, .. } = quantity;
    let shift = shift.map(|shift| format!("{shift:+.1} σ")).unwrap_or_default();
    let psi = psi.map(|psi| format!("PSI {psi:.2}")).unwrap_or_default();
    let chart = if expected.is_empty() {
        String::new()
    } else {
        chart::bins(expected, found, "distribution now, before the baseline")
    };
    format!(
        "<figure class=\"{}\"><figcaption><b>{}</b> <span class=\"quiet\">{shift} {psi}</span>\
         </figcaption>{chart}<meter min=\"0\" max=\"1.5\" low=\"0.5\" high=\"1\" optimum=\"0\" \
         value=\"{level:.2}\" aria-label=\"share of the alarm threshold\">{level:.2}</meter>\
         </figure>",
        name_of(state),
        esc(name),
    )
}

/// The name of a unit variant on the wire.
fn name_of(value: &impl serde::Serialize) -> String {
    let name = serde_json::to_value(value).unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}
