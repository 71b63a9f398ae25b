//! Samples on a grid beside those of pandas' `merge_asof`, in random values with jitter, loss and
//! reordering.

use std::path::Path;
use std::process::Command;

use super::super::plan::{Every, GridPlan, JoinPlan};
use super::super::rows::{ChannelValues, JoinedRows};
use super::super::state::JoinState;
use crate::config::AlignMethod;

/// Values of the test; more with `INFERD_JOIN_VALUES`.
const VALUES: usize = 100_000;

const STEP: i64 = 100_000;
const HOLD: i64 = 1_000_000;

/// What the script prints; `None` if its packages are not there.
fn oracle(args: &[&str]) -> Option<String> {
    let python = std::env::var("INFERD_TEST_PYTHON").unwrap_or("python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pipeline/join/tests/oracle.py");
    let has_pandas = Command::new(&python).args(["-c", "import pandas"]).output();
    if !has_pandas.is_ok_and(|tried| tried.status.success()) {
        return None;
    }
    let output = Command::new(python).arg(script).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Rows, windows, and how many of both differ.
fn compared(method: AlignMethod, word: &str, lag: i64) -> Option<Vec<usize>> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (arrivals, taken, made) = (path("arrivals"), path("taken"), path("made"));
    let count = std::env::var("INFERD_JOIN_VALUES").unwrap_or(VALUES.to_string());
    oracle(&["make", word, &count, "17", &arrivals])?;
    let channels = ["a", "b", "c"].map(str::to_owned).to_vec();
    let grid = GridPlan { step: STEP, lag, method };
    let plan = JoinPlan { channels, hold: HOLD, every: Every::Grid(grid) };
    let (mut state, mut rows) = (JoinState::new(&plan), JoinedRows::default());
    let (mut kept, mut out, mut late) = (Vec::new(), Vec::new(), 0);
    let bytes = std::fs::read(arrivals).unwrap();
    let (records, rest) = bytes.as_chunks::<24>();
    assert!(rest.is_empty());
    for record in records {
        let (fields, _) = record.as_chunks::<8>();
        let channel = usize::try_from(i64::from_le_bytes(fields[0])).unwrap();
        let (time, value) = (i64::from_le_bytes(fields[1]), f64::from_le_bytes(fields[2]));
        let values = &[(channel, value)][..];
        if state.add(&plan, ChannelValues { values, time, by_arrival: false }, &mut rows).is_err() {
            late += 1;
            continue;
        }
        kept.extend_from_slice(record);
        for (row, time) in rows.iter() {
            out.extend(time.0.to_le_bytes());
            out.extend(row.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
    std::fs::write(&taken, kept).unwrap();
    std::fs::write(&made, out).unwrap();
    let (step, hold) = (STEP.to_string(), HOLD.to_string());
    let told = oracle(&["check", word, &step, &hold, &taken, &made])?;
    let counts: Vec<usize> = told.split_whitespace().map(|n| n.parse().unwrap()).collect();
    let all = records.len();
    println!(
        "{word}: {all} values, {late} of them late; rows, windows, and of them different: {told}"
    );
    Some(counts)
}

#[test]
fn windows_on_a_grid_are_those_of_pandas() {
    for (method, word, lag) in
        [(AlignMethod::Previous, "previous", 500_000), (AlignMethod::Linear, "linear", 2_000_000)]
    {
        let Some(counts) = compared(method, word, lag) else {
            eprintln!("SKIPPED: INFERD_TEST_PYTHON names no Python with the package pandas");
            return;
        };
        assert!(counts[0] > VALUES / 20 && counts[1] > VALUES / 50, "{word}: {counts:?}");
        assert_eq!(counts[2..], [0, 0], "{word}: rows and windows that differ");
    }
}
