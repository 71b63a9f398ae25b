//! The recordings that the demo replays: forty real ones of a smart watch, each with the activity of
//! its wearer. Source and licence are in `models/README.md`.

use std::collections::BTreeMap;

/// Ten seconds of one wearer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recording {
    /// The activity of the wearer: badminton, resting, running or walking.
    pub(crate) label: String,
    /// Samples of ax, ay, az (m/s2), gx, gy and gz, 10 per second.
    pub(crate) samples: Vec<[f32; 6]>,
}

/// The embedded recordings are damaged.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the recordings: {problem}")]
pub(crate) struct BadRecordings {
    line: usize,
    problem: &'static str,
}

/// Parses `recording,label,step,ax,ay,az,gx,gy,gz` lines under one header line.
pub(crate) fn parse(text: &str) -> Result<Vec<Recording>, BadRecordings> {
    let mut found: BTreeMap<usize, Recording> = BTreeMap::new();
    for (at, row) in text.lines().enumerate().skip(1) {
        let bad = |problem| BadRecordings { line: at + 1, problem };
        let cells: Vec<&str> = row.split(',').collect();
        let [number, label, step, values @ ..] = cells.as_slice() else {
            return Err(bad("too few cells"));
        };
        let number = number.parse().map_err(|_| bad("the recording is not a number"))?;
        let values: Vec<f32> = values
            .iter()
            .map(|v| v.parse().map_err(|_| bad("a value is not a number")))
            .collect::<Result<_, _>>()?;
        let sample = values.try_into().map_err(|_| bad("a sample has six values"))?;
        let recording = found
            .entry(number)
            .or_insert_with(|| Recording { label: (*label).to_owned(), samples: Vec::new() });
        if *step != recording.samples.len().to_string() {
            return Err(bad("steps are not in order"));
        }
        recording.samples.push(sample);
    }
    Ok(found.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "recording,label,step,ax,ay,az,gx,gy,gz\n";

    #[test]
    fn rows_gather_into_recordings() {
        let text = format!(
            "{HEADER}0,walking,0,1,2,3,4,5,6\n0,walking,1,1,2,3,4,5,7\n1,resting,0,0,0,0,0,0,0\n"
        );
        let found = parse(&text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].samples, [[1., 2., 3., 4., 5., 6.], [1., 2., 3., 4., 5., 7.]]);
        assert_eq!(found[1].label, "resting");
    }

    #[test]
    fn a_damaged_row_is_named() {
        for row in ["x", "0,a,0,1,2,3,4,5", "0,a,0,1,2,3,4,5,x", "0,a,1,1,2,3,4,5,6"] {
            let error = parse(&format!("{HEADER}{row}\n")).unwrap_err();
            assert_eq!(error.line, 2, "{row}");
        }
    }
}
