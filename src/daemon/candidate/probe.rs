//! Measures a model in a child process, before it is loaded in the daemon.
//!
//! ```text
//! let probe = Probe::new(limits);
//! let active = probe.measure(active_bundle).await.ok();
//! match probe.compare(candidate_bundle, active.as_ref()).await {
//!     Ok(measured) => Event::Probed(Ok(())),
//!     Err(reason) => Event::Probed(Err(reason)),              // the log has the details
//! }
//! ```
//!
//! The child is the same program (`inferd probe`, hidden from the help). It reads the bytes of a
//! `.bundle` from standard input ([`crate::bundle::Bundle::write`] makes them from a folder), and
//! has no path and no environment. It lowers its priority and limits its memory and processor time
//! before it reads the first byte; then it loads the model, runs golden vectors and golden samples,
//! measures, and answers with one line. It is killed when its time is up and when the future is
//! dropped, and it ends if the daemon is killed.
//!
//! | outcome | reason |
//! |---|---|
//! | no bundle, or a model that does not load here | `Load` |
//! | another output than that of a golden vector or golden sample | `Golden` |
//! | over [`Limits::memory`], killed for lack of memory, or far above the active model | `Memory` |
//! | a panic, a signal, a timeout, no answer or a malformed one | `Crash` |
//! | slower than [`Limits::slowdown`] times the active model | `Slow` |
//! | a run that fails on a golden or random input | `ErrorRate` |
//! | the child cannot be started, or cannot limit itself | `Requires`: the version is not at fault |

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::engine::NodeCounts;
use crate::update::machine::Reason;

/// Bytes of an answer.
const MAX_ANSWER_BYTES: usize = 16 << 10;
/// Bytes of the child's standard error that are logged.
const MAX_STDERR_BYTES: usize = 8 << 10;
/// Smaller differences of peak memory are noise.
const MEMORY_SLACK: f64 = 16.0 * 1024.0 * 1024.0;
/// Smaller differences of the median are noise, in microseconds.
const TIME_SLACK: f64 = 100.0;
/// How the standard library and the float runtime report a failed allocation, in an error or before
/// they abort.
const NO_MEMORY: [&str; 4] =
    ["memory allocation of", "memory allocation failed", "out of memory", "failed to allocate"];
/// SIGSYS: a filter forbids a system call.
const FORBIDDEN: i32 = 31;
/// Exit code of a child that cannot limit itself.
const UNCONFINED: i32 = 70;

/// What a candidate may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that the child may allocate. Its heap holds the bundle up to twice.
    pub memory: u64,
    /// From the start of the child to its answer.
    pub time: Duration,
    /// Measured runs; fewer if they would take a quarter of `time`.
    pub runs: u32,
    /// The median run over that of the active model.
    pub slowdown: f64,
    /// The peak of memory over that of the active model.
    pub growth: f64,
}

impl Default for Limits {
    fn default() -> Self {
        let time = Duration::from_secs(60);
        Self { memory: 512 << 20, time, runs: 200, slowdown: 2.0, growth: 2.0 }
    }
}

/// What the child measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeResult {
    pub load_ms: f64,
    /// The largest difference from a golden vector; `None` if there are none.
    pub golden: Option<f64>,
    pub median_us: f64,
    /// Peak memory of the child process.
    pub peak_rss_bytes: u64,
    pub nodes: NodeCounts,
}

/// The line that the child answers with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Measured(ProbeResult),
    Refused { reason: Reason, why: String },
}

/// Measures bundles in child processes.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The program that is started with the argument `probe`.
    pub program: PathBuf,
    pub limits: Limits,
}

impl Probe {
    /// Probes with the running program, also after a package upgrade has replaced its file.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { program: PathBuf::from("/proc/self/exe"), limits }
    }

    /// Measures a candidate and compares it with the active model, if that was measured.
    ///
    /// # Errors
    /// As [`Probe::measure`], or `Slow` or `Memory` by comparison.
    pub async fn compare(
        &self,
        candidate: Bytes,
        active: Option<&ProbeResult>,
    ) -> Result<ProbeResult, Reason> {
        let measured = self.measure(candidate).await?;
        let Some(active) = active else { return Ok(measured) };
        match excess(&measured, active, &self.limits) {
            None => Ok(measured),
            Some((reason, why)) => {
                log::warn!("candidate rejected: {why}");
                Err(reason)
            }
        }
    }

    /// Measures a bundle. Needs a runtime with I/O and time.
    ///
    /// # Errors
    /// See the table above.
    pub async fn measure(&self, bundle: Bytes) -> Result<ProbeResult, Reason> {
        let refused = |why: String, reason| {
            log::warn!("the probe of a model failed: {why}");
            reason
        };
        let mut child = self
            .start()
            .map_err(|error| refused(format!("cannot start it: {error}"), Reason::Requires))?;
        let talk = talk(&mut child, &bundle);
        let ended = match tokio::time::timeout(self.limits.time, talk).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => {
                end(&mut child).await;
                return Err(refused(error.to_string(), Reason::Crash));
            }
            Err(_) => {
                end(&mut child).await;
                let why = format!("killed after {:?}", self.limits.time);
                return Err(refused(why, Reason::Crash));
            }
        };
        ended.judge().map_err(|(reason, why)| refused(why, reason))
    }

    fn start(&self) -> io::Result<Child> {
        let seconds = self.limits.time.as_secs().saturating_add(1);
        Command::new(&self.program)
            .arg("probe")
            .arg(format!("--memory={}", self.limits.memory))
            .arg(format!("--seconds={seconds}"))
            .arg(format!("--runs={}", self.limits.runs))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Keeps signals of a terminal to the daemon's process group from the child.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

/// How a child ended.
#[derive(Debug)]
struct ProbeExit {
    status: ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl ProbeExit {
    fn judge(&self) -> Result<ProbeResult, (Reason, String)> {
        let stderr = String::from_utf8_lossy(&self.err);
        let stderr = stderr.trim();
        if self.status.code() == Some(UNCONFINED) || self.status.signal() == Some(FORBIDDEN) {
            let why = format!("it is not allowed to limit itself ({}): {stderr}", self.status);
            return Err((Reason::Requires, why));
        }
        if !self.status.success() && is_for_want_of_memory(stderr) {
            return Err((Reason::Memory, format!("out of memory: {stderr}")));
        }
        // SIGKILL was not sent by the daemon: the kernel is out of memory.
        if self.status.signal() == Some(9) {
            return Err((Reason::Memory, "it was killed, probably for lack of memory".to_owned()));
        }
        match serde_json::from_slice(&self.out) {
            Ok(Answer::Measured(measured)) if self.status.success() && sane(&measured) => {
                Ok(measured)
            }
            Ok(Answer::Refused { reason, why }) if self.status.code() == Some(1) => {
                Err((reason, why))
            }
            _ => Err((
                Reason::Crash,
                format!("it ended with {} and printed {stderr:?}", self.status),
            )),
        }
    }
}

/// Whether the text of an error reports a failed allocation.
#[must_use]
pub fn is_for_want_of_memory(text: &str) -> bool {
    NO_MEMORY.iter().any(|words| text.contains(words))
}

fn sane(measured: &ProbeResult) -> bool {
    let numbers = [measured.load_ms, measured.median_us, measured.golden.unwrap_or(0.0)];
    numbers.iter().all(|number| number.is_finite() && *number >= 0.0)
}

/// The first limit that the candidate exceeds.
fn excess(
    candidate: &ProbeResult,
    active: &ProbeResult,
    limits: &Limits,
) -> Option<(Reason, String)> {
    let (median, before) = (candidate.median_us, active.median_us);
    if median > before * limits.slowdown + TIME_SLACK {
        let why = format!("{median:.0} us a run, the active model takes {before:.0}");
        return Some((Reason::Slow, why));
    }
    let (peak, before) = (candidate.peak_rss_bytes, active.peak_rss_bytes);
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 bytes")]
    let grown = peak as f64 > before as f64 * limits.growth + MEMORY_SLACK;
    let why = || format!("{peak} bytes of memory, the active model takes {before}");
    grown.then(|| (Reason::Memory, why()))
}

/// Writes the bundle and reads both outputs at the same time, so that no pipe blocks another.
async fn talk(child: &mut Child, bundle: &[u8]) -> io::Result<ProbeExit> {
    let missing = || io::Error::other("no pipes");
    let mut stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let feed = async move {
        // A child that ended before it had read everything gives the reason in its answer.
        if let Err(error) = stdin.write_all(bundle).await {
            log::debug!("the probe stopped reading: {error}");
        }
        Ok(())
    };
    let (status, (), out, err) =
        tokio::try_join!(child.wait(), feed, answer(stdout), some(stderr))?;
    Ok(ProbeExit { status, out, err })
}

/// Reads an answer of limited length.
async fn answer(from: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let most = u64::try_from(MAX_ANSWER_BYTES).unwrap_or(u64::MAX);
    from.take(most.saturating_add(1)).read_to_end(&mut out).await?;
    if out.len() > MAX_ANSWER_BYTES {
        return Err(io::Error::other("its answer is too long"));
    }
    Ok(out)
}

/// Reads to the end and returns the beginning.
async fn some(mut from: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 1024]);
    loop {
        let read = from.read(&mut buffer).await?;
        let room = MAX_STDERR_BYTES.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
        if read == 0 {
            return Ok(kept);
        }
    }
}

async fn end(child: &mut Child) {
    if let Err(error) = child.kill().await {
        log::warn!("cannot kill a probe: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(median_us: f64, peak_rss_bytes: u64) -> ProbeResult {
        let nodes = NodeCounts { integer: 1, float: 2 };
        ProbeResult { load_ms: 1.0, golden: None, median_us, peak_rss_bytes, nodes }
    }

    fn ended(wait_status: i32, out: &str, err: &str) -> Result<ProbeResult, Reason> {
        let (out, err) = (out.as_bytes().to_vec(), err.as_bytes().to_vec());
        let status = ExitStatus::from_raw(wait_status);
        ProbeExit { status, out, err }.judge().map_err(|(reason, _)| reason)
    }

    #[test]
    fn only_a_whole_answer_and_the_right_end_count() {
        let good = serde_json::to_string(&Answer::Measured(measured(10.0, 1))).unwrap();
        let refused = r#"{"refused":{"reason":"golden","why":"x"}}"#;
        assert_eq!(ended(0, &good, "").unwrap(), measured(10.0, 1));
        assert_eq!(ended(1 << 8, refused, ""), Err(Reason::Golden));
        let endless = serde_json::to_string(&Answer::Measured(measured(-1.0, 1))).unwrap();
        for (status, out) in [
            (0, ""),
            (0, "yes"),
            (0, "{}"),
            (0, &good[..good.len() - 2]),
            (0, refused),
            (0, &endless),
            (101 << 8, &good),
            (6, &good),
            (11, ""),
            (0, &format!("{good}{good}")),
        ] {
            assert_eq!(ended(status, out, ""), Err(Reason::Crash), "{status} {out:?}");
        }
        assert_eq!(ended(6, "", "memory allocation of 77 bytes failed\n"), Err(Reason::Memory));
        assert_eq!(ended(101 << 8, "", "failed to allocate Layout\n"), Err(Reason::Memory));
        // A child that cannot limit itself is no statement about the model.
        assert_eq!(ended(70 << 8, "", ""), Err(Reason::Requires));
        assert_eq!(ended(31, "", ""), Err(Reason::Requires));
        assert_eq!(ended(9, "", ""), Err(Reason::Memory));
    }

    #[test]
    fn a_candidate_may_be_so_much_worse_than_the_active_model() {
        let limits = Limits { slowdown: 2.0, growth: 1.5, ..Limits::default() };
        let excess = |median, peak| {
            let found = excess(&measured(median, peak), &measured(1000.0, 100 << 20), &limits);
            found.map(|(reason, _)| reason)
        };
        assert_eq!(excess(2000.0, 150 << 20), None);
        assert_eq!(excess(2200.0, 1), Some(Reason::Slow));
        assert_eq!(excess(1.0, 167 << 20), Some(Reason::Memory));
    }
}
