//! Pieces of HTML.

use std::fmt::{self, Display, Write as _};

/// Text that is shown as it is, whatever characters it has. Gateways write most of it.
#[derive(Debug)]
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.to_string().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if c.is_control() => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A table. Cells are HTML.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut out = "<div class=\"wide\"><table><thead><tr>".to_owned();
    head.iter().for_each(|cell| out += &format!("<th scope=\"col\">{}</th>", Text(cell)));
    out += "</tr></thead><tbody>\n";
    for row in rows {
        out += "<tr>";
        row.iter().for_each(|cell| out += &format!("<td>{cell}</td>"));
        out += "</tr>\n";
    }
    out + "</tbody></table></div>\n"
}

/// A state in its colour, which repeats the word.
pub(super) fn badge(state: &str) -> String {
    let class = match state {
        "healthy" | "online" | "ok" => "good",
        "degraded" | "watch" | "learning" => "fair",
        "failed" | "drift" => "bad",
        _ => "none",
    };
    format!("<span class=\"badge {class}\">{}</span>", Text(state))
}

/// Shares of a whole as one bar, each with its name. Counts of 0 are left out.
pub(super) fn shares<'a>(parts: impl IntoIterator<Item = (&'a str, u64)>) -> String {
    let parts: Vec<_> = parts.into_iter().filter(|(_, count)| *count > 0).collect();
    let all = parts.iter().map(|(_, count)| *count).fold(0, u64::saturating_add);
    let mut out = "<div class=\"shares\">".to_owned();
    for (name, count) in parts {
        let (name, percent) = (Text(name), percent(count, all));
        out += &format!(
            "<span style=\"flex-grow:{count}\" title=\"{name}: {count}\"><b>{name}</b> {percent} \
             %</span>"
        );
    }
    out + "</div>"
}

/// `part` of `all` in percent, rounded.
pub(super) fn percent(part: u64, all: u64) -> u64 {
    let (part, all) = (u128::from(part), u128::from(all.max(1)));
    u64::try_from((part * 200 + all) / (all * 2)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let hostile = "<script>alert('x')</script>&\"\u{1b}[2J";
        let shown = Text(hostile).to_string();
        assert!(!shown.contains(['<', '>', '"', '\'', '\u{1b}']), "{shown}");
        assert!(!badge(hostile).contains("<script"));
        assert!(!shares([(hostile, 1)]).contains("<script"));
        assert!(!table(&[hostile], []).contains("<script"));
    }

    #[test]
    fn shares_are_in_percent() {
        assert_eq!((percent(1, 3), percent(2, 3), percent(0, 0)), (33, 67, 0));
        let bar = shares([("running", 3), ("walking", 1), ("resting", 0)]);
        assert!(
            bar.contains("<b>running</b> 75 %") && bar.contains("<b>walking</b> 25 %"),
            "{bar}"
        );
        assert!(!bar.contains("resting"));
    }
}
