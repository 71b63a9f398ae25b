//! The text formats of Prometheus and OpenMetrics.

use std::fmt::{Display, Write as _};

/// Which of the two formats is written. They differ in the names of counters and in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Version 0.0.4 of Prometheus' text format.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The format that a client accepts.
    pub(super) fn accepted(accept: &str) -> Self {
        let is_open = accept.contains("application/openmetrics-text");
        if is_open { Self::OpenMetrics } else { Self::Text }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The type of a family of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its samples end in `_total`.
    Counter,
    Gauge,
    Histogram,
}

/// The labels of a sample: names and values.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// Metrics as text.
#[derive(Debug)]
pub(super) struct Exposition {
    format: Format,
    text: String,
    name: &'static str,
    kind: Kind,
}

impl Exposition {
    pub(super) fn new(format: Format) -> Self {
        Self { format, text: String::new(), name: "", kind: Kind::Gauge }
    }

    /// Begins a family. `name` of a counter is without `_total`.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &str) {
        (self.kind, self.name) = (kind, name);
        let total = kind == Kind::Counter && self.format == Format::Text;
        let end = if total { "_total" } else { "" };
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name}{end} {help}"));
        self.line(format_args!("# TYPE {name}{end} {kind}"));
    }

    /// A sample of the latest family, a counter or a gauge.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        let end = if self.kind == Kind::Counter { "_total" } else { "" };
        self.part(end, labels, value);
    }

    /// A histogram: its upper bounds with cumulative counts, the count and the sum of all values.
    pub(super) fn histogram(
        &mut self,
        labels: Labels<'_>,
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        for (bound, count) in buckets {
            // With a point, as OpenMetrics writes numbers.
            let bound = format!("{bound:?}");
            self.part("_bucket", &[labels, &[("le", &bound)]].concat(), count);
        }
        self.part("_bucket", &[labels, &[("le", "+Inf")]].concat(), count);
        self.part("_sum", labels, sum);
        self.part("_count", labels, count);
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text += "# EOF\n";
        }
        self.text
    }

    fn part(&mut self, end: &str, labels: Labels<'_>, value: impl Display) {
        self.text += self.name;
        self.text += end;
        for (place, (name, value)) in labels.iter().enumerate() {
            self.text += if place == 0 { "{" } else { "," };
            self.text += name;
            self.text += "=\"";
            value.chars().for_each(|c| match c {
                '\\' => self.text += "\\\\",
                '"' => self.text += "\\\"",
                '\n' => self.text += "\\n",
                c => self.text.push(c),
            });
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.line(format_args!(" {value}"));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        _ = writeln!(self.text, "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(format: Format) -> String {
        let mut out = Exposition::new(format);
        out.family(Kind::Counter, "x", "Things.");
        out.sample(&[("of", "a\"\\\n")], 3);
        out.family(Kind::Histogram, "y_seconds", "Times.");
        out.histogram(&[], [(0.5, 1), (2.0, 4)].into_iter(), 5, 9.25);
        out.finish()
    }

    #[test]
    fn both_formats() {
        let text = example(Format::Text);
        assert_eq!(
            text,
            "# HELP x_total Things.\n# TYPE x_total counter\nx_total{of=\"a\\\"\\\\\\n\"} 3\n\
             # HELP y_seconds Times.\n# TYPE y_seconds histogram\n\
             y_seconds_bucket{le=\"0.5\"} 1\ny_seconds_bucket{le=\"2.0\"} 4\n\
             y_seconds_bucket{le=\"+Inf\"} 5\ny_seconds_sum 9.25\ny_seconds_count 5\n"
        );
        let open = example(Format::OpenMetrics);
        assert!(open.contains("# TYPE x counter\nx_total{"), "{open}");
        assert!(open.ends_with("# EOF\n"), "{open}");
        assert_eq!(Format::accepted("application/openmetrics-text;q=1"), Format::OpenMetrics);
        assert_eq!(Format::accepted("text/html, */*"), Format::Text);
    }
}
