//! The accuracy of a stream's model by labels that arrived later.

use super::html::{count, esc};
use crate::truth::{LabelStats, VersionAccuracy};

/// Labels in a confusion matrix.
const MAX_LABELS: usize = 12;

/// The accuracy of the version in use, and its confusion matrix.
pub(super) fn render(labels: &LabelStats) -> String {
    let Some(version) = labels.versions.last().filter(|version| version.labels > 0) else {
        return "<p class=\"quiet\">No labels yet.</p>".to_owned();
    };
    let refused: u64 = labels.refused.values().sum();
    let refused = match refused {
        0 => String::new(),
        refused => format!(" · {} labels were not counted", count(refused)),
    };
    format!(
        "<section class=\"accuracy\"><p>{} over {} labels of {}<span class=\"quiet\">{refused}\
         </span></p>{}</section>",
        figure(version),
        count(version.labels),
        esc(&version.version),
        matrix(version)
    )
}

fn figure(version: &VersionAccuracy) -> String {
    match (version.accuracy, version.interval, version.mae) {
        (Some(accuracy), Some([low, high]), _) => format!(
            "<b>{:.1} % right</b> <span class=\"quiet\">({:.1} to {:.1} %)</span>",
            100.0 * accuracy,
            100.0 * low,
            100.0 * high
        ),
        (_, _, Some(error)) => format!("<b>mean absolute error {error:.4}</b>"),
        _ => "<b>accuracy unknown</b>".to_owned(),
    }
}

fn matrix(version: &VersionAccuracy) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (truth, row) in &version.confusion {
        for name in [truth].into_iter().chain(row.keys()) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    if names.is_empty() || names.len() > MAX_LABELS {
        return String::new();
    }
    names.sort_unstable();
    let head: String =
        names.iter().map(|name| format!("<th scope=\"col\">{}</th>", esc(name))).collect();
    let row = |truth: &&str| {
        let found = version.confusion.get(*truth);
        let cell = |name: &&str| {
            let number = found.and_then(|row| row.get(*name)).copied().unwrap_or(0);
            let class = match (number, name == truth) {
                (0, _) => "none",
                (_, true) => "right",
                (_, false) => "wrong",
            };
            format!("<td class=\"{class}\">{number}</td>")
        };
        let cells: String = names.iter().map(cell).collect();
        format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", esc(truth))
    };
    let rows: String = names.iter().map(row).collect();
    format!(
        "<details><summary>Confusion matrix</summary><div class=\"scroll\" tabindex=\"0\" \
         role=\"region\" aria-label=\"Confusion matrix\"><table><caption>Rows are true, columns \
         predicted</caption><tr><td></td>{head}</tr>{rows}</table></div></details>"
    )
}
