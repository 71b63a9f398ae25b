//! Lines of CSV that are passed over because a column has another value than the stream asks for.

use super::field_tree::tokens;
use super::schema::PayloadSchema;
use crate::config::tree::Scalar;
use crate::pipeline::reject::Reject;

/// What a stream asks of its lines.
#[derive(Debug)]
pub(super) struct LineFilter {
    conditions: Vec<Condition>,
}

#[derive(Debug)]
struct Condition {
    name: String,
    /// The place of the column, where a pointer such as `/3` gives it or the header did.
    column: Option<usize>,
    by_place: bool,
    allowed: Vec<Scalar>,
}

impl LineFilter {
    pub(super) fn new(schema: &PayloadSchema) -> Self {
        let condition = |(name, allowed): &(String, Vec<Scalar>)| {
            let place = name.starts_with('/').then(|| tokens(name));
            let column = place.and_then(|tokens| match tokens.as_slice() {
                [place] => place.parse().ok(),
                _ => None,
            });
            let by_place = column.is_some();
            Condition { name: name.clone(), column, by_place, allowed: allowed.clone() }
        };
        Self { conditions: schema.filter.iter().map(condition).collect() }
    }

    /// Takes the first line, which is a header or the first sample.
    ///
    /// # Errors
    /// A condition on a column by its name, and there is no header.
    pub(super) fn begin<'c>(
        &mut self,
        first: impl Iterator<Item = &'c str> + Clone,
        is_header: bool,
    ) -> Result<(), Reject> {
        for condition in self.conditions.iter_mut().filter(|condition| !condition.by_place) {
            if !is_header {
                let problem = format!(
                    "payload.where names the column {:?}, and its first line is no header with \
                     the names of the fields; name a column by its place, as in \"/0\"",
                    condition.name
                );
                return Err(Reject::Syntax { format: "CSV with a header", problem });
            }
            let name = condition.name.as_str();
            condition.column = first.clone().position(|cell| cell == name);
        }
        Ok(())
    }

    /// Whether a line is of the stream.
    pub(super) fn is_met<'c>(&self, cells: impl Iterator<Item = &'c str> + Clone) -> bool {
        self.conditions.iter().all(|condition| {
            let cell = condition.column.and_then(|column| cells.clone().nth(column));
            cell.is_some_and(|cell| condition.allowed.iter().any(|value| is_equal(cell, value)))
        })
    }
}

fn is_equal(cell: &str, value: &Scalar) -> bool {
    match value {
        #[expect(clippy::float_cmp, reason = "a value that was written is meant as written")]
        Scalar::Number(number) => cell.parse::<f64>().is_ok_and(|cell| cell == *number),
        Scalar::Text(text) => cell == text,
        Scalar::Bool(flag) => cell == if *flag { "true" } else { "false" },
    }
}
