//! The control socket: takes questions from local commands and passes them to the desk.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Take};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::control::{
    Answer, Ask, Code, RELEASE_MAX, REQUEST_MAX, Refused, SOCKET, answer_line, parse_request,
};

/// Bytes of a release read at a time.
const PIECE: usize = 64 << 10;
/// Connections that are served at once; more wait to be accepted.
const CONNECTIONS: usize = 8;
const LINE_PATIENCE: Duration = Duration::from_secs(5);
/// An answer has this long to be found: a purge of a large queue on a slow card takes its time.
const ANSWER_PATIENCE: Duration = Duration::from_secs(50);

/// A question for the desk, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    /// What followed the question.
    pub(crate) body: Vec<u8>,
    pub(crate) answer: Asker,
}

/// Who waits for an answer.
#[derive(Debug)]
pub(crate) struct Asker(oneshot::Sender<Answer>);

impl Asker {
    /// Answers; whoever asked may have gone.
    pub(crate) fn answer(self, answer: Answer) {
        if self.0.send(answer).is_err() {
            log::debug!("whoever asked on the control socket did not wait");
        }
    }

    pub(crate) fn ok(self, found: &impl serde::Serialize) {
        // Plain structs of numbers and text always serialize.
        self.answer(Answer::Ok(serde_json::to_value(found).unwrap_or_default()));
    }

    pub(crate) fn refuse(self, code: Code, message: impl Into<String>) {
        self.answer(Answer::Refused(Refused::new(code, message)));
    }
}

/// The bound socket; its file goes with it.
pub(crate) struct Door {
    listener: UnixListener,
    path: PathBuf,
    /// A request, or the taking of its answer, has this long.
    patience: Duration,
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("{} is left behind: {error}", self.path.display());
        }
    }
}

impl Door {
    /// Binds the socket in `dir`, mode 0660, in place of one that nobody listens at.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.join(SOCKET);
        remove_stale(&path)?;
        let listener = UnixListener::bind(&path)?;
        let door = Self { listener, path, patience: LINE_PATIENCE };
        fs::set_permissions(&door.path, fs::Permissions::from_mode(0o660))?;
        Ok(door)
    }

    /// Serves until it is dropped.
    pub(crate) async fn serve(self, desk: mpsc::Sender<Asked>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        // One at a time: each is held in memory.
        let releases = Arc::new(Semaphore::new(1));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (desk, patience) = (desk.clone(), self.patience);
                    let releases = releases.clone();
                    tokio::spawn(async move {
                        if let Err(error) = attend(stream, &desk, patience, &releases).await {
                            log::debug!("a control connection ended: {error}");
                        }
                        drop(place);
                    });
                }
                // Out of descriptors, most likely: the next may succeed.
                Err(error) => {
                    log::debug!("the control socket: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// A socket that refuses connections was left by a daemon that died.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type().is_socket(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !is_socket {
        let why = format!("{} is there and no socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    match BlockingStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            let why = format!("another daemon listens at {}", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, why))
        }
    }
}

async fn attend(
    stream: UnixStream,
    desk: &mpsc::Sender<Asked>,
    patience: Duration,
    releases: &Semaphore,
) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let limit = u64::try_from(REQUEST_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut request = Vec::new();
    let mut reading = BufReader::new(reading.take(limit));
    timeout(patience, reading.read_until(b'\n', &mut request)).await??;
    let answer = match parse_request(&request) {
        Ok(Ask::Install { bytes }) => match releases.try_acquire() {
            Err(_) => refuse(Code::Busy, "another release is being installed; try again"),
            Ok(_place) if bytes > RELEASE_MAX => {
                let why = format!("a release has at most {RELEASE_MAX} bytes");
                refuse(Code::BadRequest, why)
            }
            Ok(_place) => {
                let body = body(&mut reading, bytes, patience).await?;
                answered(Ask::Install { bytes }, body, desk).await
            }
        },
        Ok(ask) => answered(ask, Vec::new(), desk).await,
        Err(refused) => Answer::Refused(refused),
    };
    timeout(patience, writing.write_all(&answer_line(&answer))).await??;
    timeout(patience, writing.shutdown()).await?
}

/// So many bytes behind the request; whoever pauses for too long has them sent in vain.
async fn body(
    reading: &mut BufReader<Take<OwnedReadHalf>>,
    bytes: u64,
    patience: Duration,
) -> io::Result<Vec<u8>> {
    let buffered = u64::try_from(reading.buffer().len()).unwrap_or(0);
    reading.get_mut().set_limit(bytes.saturating_sub(buffered));
    let mut body = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let left = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_sub(body.len());
        let Some(room) = piece.get_mut(..left.min(PIECE)).filter(|room| !room.is_empty()) else {
            return Ok(body);
        };
        match timeout(patience, reading.read(room)).await?? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => body.extend_from_slice(room.get(..read).unwrap_or_default()),
        }
    }
}

fn refuse(code: Code, message: impl Into<String>) -> Answer {
    Answer::Refused(Refused::new(code, message))
}

async fn answered(ask: Ask, body: Vec<u8>, desk: &mpsc::Sender<Asked>) -> Answer {
    let (answer, found) = oneshot::channel();
    if desk.send(Asked { ask, body, answer: Asker(answer) }).await.is_err() {
        return refuse(Code::Stopping, "the daemon is stopping");
    }
    match timeout(ANSWER_PATIENCE, found).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => refuse(Code::Busy, "the store does not keep up, or the daemon is stopping"),
        Err(_) => refuse(Code::Busy, "the daemon is busy; what was asked may still be done"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::request_line;

    /// A door with a desk behind it that answers everything with its own name.
    fn door() -> (tempfile::TempDir, PathBuf) {
        door_to(|Asked { ask, answer, .. }| answer.ok(&ask))
    }

    fn door_to(mut desk_says: impl FnMut(Asked) + Send + 'static) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (desk, mut asked) = mpsc::channel::<Asked>(1);
        let mut door = Door::open(dir.path()).unwrap();
        door.patience = Duration::from_millis(50);
        let path = door.path.clone();
        tokio::spawn(door.serve(desk));
        tokio::spawn(async move {
            while let Some(question) = asked.recv().await {
                desk_says(question);
            }
        });
        (dir, path)
    }

    async fn say(path: &Path, bytes: &[u8]) -> Answer {
        let mut stream = UnixStream::connect(path).await.unwrap();
        // The other side may have heard enough before all is said.
        stream.write_all(bytes).await.ok();
        stream.shutdown().await.ok();
        let mut answer = Vec::new();
        // A side that was sent more than it read ends with a reset, behind its answer.
        stream.read_to_end(&mut answer).await.ok();
        serde_json::from_slice(&answer).unwrap()
    }

    #[tokio::test]
    async fn a_request_is_answered_and_a_hostile_one_refused() {
        let (_dir, path) = door();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let answer = say(&path, b"{\"v\":1,\"ask\":\"status\"}\n").await;
        assert_eq!(answer, Answer::Ok(serde_json::json!({"ask": "status"})));
        for bad in [&b"\n"[..], b"", b"{\"v\":1", &[0xff; 100], &[b'x'; 1 << 20]] {
            let answer = say(&path, bad).await;
            let refused = matches!(&answer, Answer::Refused(Refused { code, .. }) if *code == Code::BadRequest);
            assert!(refused, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn a_release_follows_its_request_whole_or_not_at_all() {
        let (_dir, path) = door_to(|Asked { body, answer, .. }| answer.ok(&body.len()));
        let request = |bytes: u64| request_line(Ask::Install { bytes });
        let all = [request(200_000), vec![7; 200_000]].concat();
        assert_eq!(say(&path, &all).await, Answer::Ok(200_000.into()));
        let more = say(&path, &request(RELEASE_MAX + 1)).await;
        let Answer::Refused(refused) = more else { panic!("{more:?}") };
        assert_eq!(refused.code, Code::BadRequest);
        let mut half = UnixStream::connect(&path).await.unwrap();
        half.write_all(&[request(200_000), vec![7; 100]].concat()).await.unwrap();
        let mut answer = Vec::new();
        half.read_to_end(&mut answer).await.ok();
        assert!(answer.is_empty(), "nobody was asked");
    }

    #[tokio::test]
    async fn those_who_say_nothing_stop_nobody_for_ever() {
        let (_dir, path) = door();
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(UnixStream::connect(&path).await.unwrap());
        }
        let answer = say(&path, b"{\"v\":1,\"ask\":\"models\"}\n").await;
        assert!(matches!(answer, Answer::Ok(_)), "served once the silent ones have had their time");
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "as a kill leaves it");
        let door = Door::open(dir.path()).unwrap();
        let second = Door::open(dir.path()).map(|_| ()).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        drop(door);
        assert!(!path.exists());
        fs::write(&path, "a file of somebody else's").unwrap();
        assert!(Door::open(dir.path()).is_err());
        assert!(path.exists(), "and it stays");
    }
}
