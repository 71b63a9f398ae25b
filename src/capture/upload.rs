//! Uploads segments, the oldest first, on a thread of its own: a slow network must not keep captured
//! inputs from being written.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::folder::{ARRAYS, META, SegmentFile, path_of};
use super::thread::CaptureHandle;
use crate::backoff;
use crate::config::Upload;
use crate::web::{self, Client, PutRequest};

/// Delays after failures.
const MIN_RETRY: Duration = Duration::from_secs(5);
const MAX_RETRY: Duration = Duration::from_secs(60 * 60);
/// While results wait for the broker, it is looked again after this time.
const HOLD: Duration = Duration::from_secs(5);
/// Without a notification, it is looked for segments after this time.
const IDLE: Duration = Duration::from_secs(60 * 60);

/// Starts the thread. It ends with the process, or when the thread that writes segments has ended; an
/// upload that is cut off is repeated after the next start.
///
/// # Errors
/// The system cannot start a thread.
pub(super) fn start(
    upload: Upload,
    capture: CaptureHandle,
    written: Receiver<()>,
) -> std::io::Result<()> {
    let uploader = Uploader { upload, capture, client: None, failures: 0 };
    std::thread::Builder::new()
        .name("upload".into())
        .spawn(move || uploader.run(&written))
        .map(drop)
}

struct Uploader {
    upload: Upload,
    capture: CaptureHandle,
    /// Made for the first upload.
    client: Option<Client>,
    failures: u32,
}

impl Uploader {
    fn run(mut self, written: &Receiver<()>) {
        let mut wait = Duration::ZERO;
        loop {
            match written.recv_timeout(wait) {
                Err(RecvTimeoutError::Disconnected) => return,
                // A new segment does not shorten the wait after a failure.
                Ok(()) if self.failures > 0 => continue,
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            }
            let Some(next) = self.next_wait() else { return };
            wait = next;
        }
    }

    /// Uploads the oldest segment, if there is one. Returns how long to wait before the next;
    /// `None` if the daemon is stopping.
    fn next_wait(&mut self) -> Option<Duration> {
        if self.capture.uploads_are_held() {
            return Some(HOLD);
        }
        let (answer, found) = sync_channel(1);
        let oldest = self.capture.run(move |writer| {
            let oldest = writer.segments().first().cloned();
            answer.send(oldest.map(|segment| (writer.dir().to_owned(), segment))).ok();
        });
        if oldest.is_err() {
            return Some(HOLD);
        }
        let Some((dir, segment)) = found.recv().ok()? else { return Some(IDLE) };
        match self.upload(&dir, &segment) {
            Ok(()) => {
                self.failures = 0;
                let done = self.capture.run(move |writer| writer.uploaded(&segment));
                Some(if done.is_ok() { Duration::ZERO } else { HOLD })
            }
            Err(why) => {
                log::warn!("cannot upload captured inputs: {why}");
                self.capture.run(move |writer| writer.upload_failed(why)).ok();
                let random = fastrand::u64(..);
                let wait = backoff::delay(self.failures, MIN_RETRY, MAX_RETRY, random);
                self.failures = self.failures.saturating_add(1);
                Some(wait.max(Duration::from_secs(1)))
            }
        }
    }

    /// Uploads both files, the arrays last: with them the segment is complete.
    fn upload(&mut self, dir: &Path, segment: &SegmentFile) -> Result<(), String> {
        let token = self.upload.token_file.as_deref().map(token).transpose()?;
        let client = self.client()?;
        for (extension, content_type) in
            [(META, "application/jsonl"), (ARRAYS, "application/octet-stream")]
        {
            let path = path_of(&dir.join(&segment.stream), &segment.name, extension);
            let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let file = format!("{}.{extension}", segment.name);
            let url = self.upload.url.replace("{stream}", &segment.stream).replace("{file}", &file);
            let put = PutRequest {
                url: &url,
                bytes: &bytes,
                content_type,
                token: token.as_deref(),
                max_bytes_per_s: self.upload.max_bytes_per_s,
            };
            client.put(&put).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn client(&mut self) -> Result<Client, String> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let ca_file = self.upload.ca_file.clone();
        let client = Client::new(web::Settings { ca_file, ..web::Settings::default() });
        let client = client.map_err(|error| error.to_string())?;
        self.client = Some(client.clone());
        Ok(client)
    }
}

/// The token on the first line of a file.
fn token(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}
