//! The control socket: accepts requests of local commands and answers them.

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
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::control::{
    ControlRequest, ErrorCode, ErrorResponse, MAX_RELEASE_SIZE, MAX_REQUEST_SIZE, Response, SOCKET,
    parse_request, response_line,
};

/// Bytes of a release read at a time.
const READ_SIZE: usize = 64 << 10;
/// Connections that are served at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 8;
/// For the request, and for the client to take the answer.
const IO_TIMEOUT: Duration = Duration::from_secs(5);
/// For the answer: a purge of a large queue on a slow card takes a while.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(50);

/// The bound socket; its file goes with it.
pub(crate) struct ControlServer {
    listener: UnixListener,
    path: PathBuf,
    /// For the request, and for the client to take the answer.
    io_timeout: Duration,
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("cannot remove {}: {error}", self.path.display());
        }
    }
}

impl ControlServer {
    /// Binds the socket in `dir`, mode 0660, in place of one that no process listens on.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.join(SOCKET);
        remove_stale(&path)?;
        let listener = UnixListener::bind(&path)?;
        let server = Self { listener, path, io_timeout: IO_TIMEOUT };
        fs::set_permissions(&server.path, fs::Permissions::from_mode(0o660))?;
        Ok(server)
    }

    /// Serves until it is dropped. `handler` answers each request in a task of its own, which goes
    /// on if the answer takes too long.
    pub(crate) async fn serve<H, F>(self, handler: H)
    where
        H: Fn(ControlRequest, Vec<u8>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        // One at a time: each is held in memory.
        let releases = Arc::new(Semaphore::new(1));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (handler, io_timeout) = (handler.clone(), self.io_timeout);
                    let releases = releases.clone();
                    tokio::spawn(async move {
                        let handled =
                            handle_connection(stream, handler, io_timeout, &releases).await;
                        if let Err(error) = handled {
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

/// Removes the socket of a daemon that has died: it refuses connections.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type().is_socket(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !is_socket {
        let why = format!("{} exists and is not a socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    match BlockingStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            let why = format!("another daemon listens on {}", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, why))
        }
    }
}

async fn handle_connection<H, F>(
    stream: UnixStream,
    handler: H,
    io_timeout: Duration,
    releases: &Semaphore,
) -> io::Result<()>
where
    H: Fn(ControlRequest, Vec<u8>) -> F,
    F: Future<Output = Response> + Send + 'static,
{
    let (reading, mut writing) = stream.into_split();
    let limit = u64::try_from(MAX_REQUEST_SIZE).unwrap_or(u64::MAX).saturating_add(1);
    let mut request = Vec::new();
    let mut reading = BufReader::new(reading.take(limit));
    timeout(io_timeout, reading.read_until(b'\n', &mut request)).await??;
    let answer = match parse_request(&request) {
        Ok(ControlRequest::Install { bytes }) => match releases.try_acquire() {
            Err(_) => refuse(ErrorCode::Busy, "another release is being installed; try again"),
            Ok(_place) if bytes > MAX_RELEASE_SIZE => {
                let why = format!("a release has at most {MAX_RELEASE_SIZE} bytes");
                refuse(ErrorCode::BadRequest, why)
            }
            Ok(_place) => {
                let body = read_body(&mut reading, bytes, io_timeout).await?;
                answer(handler(ControlRequest::Install { bytes }, body)).await
            }
        },
        Ok(ask) => answer(handler(ask, Vec::new())).await,
        Err(refused) => Response::Refused(refused),
    };
    timeout(io_timeout, writing.write_all(&response_line(&answer))).await??;
    timeout(io_timeout, writing.shutdown()).await?
}

/// Reads the bytes behind the request. A pause longer than `io_timeout` is an error.
async fn read_body(
    reading: &mut BufReader<Take<OwnedReadHalf>>,
    bytes: u64,
    io_timeout: Duration,
) -> io::Result<Vec<u8>> {
    let buffered = u64::try_from(reading.buffer().len()).unwrap_or(0);
    reading.get_mut().set_limit(bytes.saturating_sub(buffered));
    let mut body = Vec::new();
    let mut piece = vec![0; READ_SIZE];
    loop {
        let left = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_sub(body.len());
        let Some(room) = piece.get_mut(..left.min(READ_SIZE)).filter(|room| !room.is_empty())
        else {
            return Ok(body);
        };
        match timeout(io_timeout, reading.read(room)).await?? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => body.extend_from_slice(room.get(..read).unwrap_or_default()),
        }
    }
}

fn refuse(code: ErrorCode, message: impl Into<String>) -> Response {
    Response::Refused(ErrorResponse::new(code, message))
}

/// Awaits an answer. The request is handled to its end also if the answer comes too late.
async fn answer(handling: impl Future<Output = Response> + Send + 'static) -> Response {
    match timeout(ANSWER_TIMEOUT, tokio::spawn(handling)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => refuse(ErrorCode::Stopping, "the daemon is stopping"),
        Err(_) => {
            refuse(ErrorCode::Busy, "the daemon is busy; the request may still be carried out")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::request_line;

    /// A server that answers every request with the request.
    fn server() -> (tempfile::TempDir, PathBuf) {
        server_with(|ask, _| serde_json::to_value(ask).unwrap())
    }

    fn server_with<F>(answer: F) -> (tempfile::TempDir, PathBuf)
    where
        F: Fn(ControlRequest, Vec<u8>) -> serde_json::Value + Clone + Send + Sync + 'static,
    {
        let dir = tempfile::tempdir().unwrap();
        let mut server = ControlServer::open(dir.path()).unwrap();
        server.io_timeout = Duration::from_millis(50);
        let path = server.path.clone();
        let handler = move |ask, body| std::future::ready(Response::Ok(answer(ask, body)));
        tokio::spawn(server.serve(handler));
        (dir, path)
    }

    async fn say(path: &Path, bytes: &[u8]) -> Response {
        let mut stream = UnixStream::connect(path).await.unwrap();
        // The server may answer before it has read everything.
        stream.write_all(bytes).await.ok();
        stream.shutdown().await.ok();
        let mut answer = Vec::new();
        // A side that was sent more than it read ends with a reset, behind its answer.
        stream.read_to_end(&mut answer).await.ok();
        serde_json::from_slice(&answer).unwrap()
    }

    #[tokio::test]
    async fn a_request_is_answered_and_a_hostile_one_refused() {
        let (_dir, path) = server();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let answer = say(&path, b"{\"v\":1,\"ask\":\"status\"}\n").await;
        assert_eq!(answer, Response::Ok(serde_json::json!({"ask": "status"})));
        for bad in [&b"\n"[..], b"", b"{\"v\":1", &[0xff; 100], &[b'x'; 1 << 20]] {
            let answer = say(&path, bad).await;
            let Response::Refused(ErrorResponse { code, .. }) = answer else {
                panic!("{answer:?}")
            };
            assert_eq!(code, ErrorCode::BadRequest);
        }
    }

    #[tokio::test]
    async fn a_release_follows_its_request_whole_or_not_at_all() {
        let (_dir, path) = server_with(|_, body| body.len().into());
        let request = |bytes: u64| request_line(ControlRequest::Install { bytes });
        let all = [request(200_000), vec![7; 200_000]].concat();
        assert_eq!(say(&path, &all).await, Response::Ok(200_000.into()));
        let more = say(&path, &request(MAX_RELEASE_SIZE + 1)).await;
        let Response::Refused(refused) = more else { panic!("{more:?}") };
        assert_eq!(refused.code, ErrorCode::BadRequest);
        let mut half = UnixStream::connect(&path).await.unwrap();
        half.write_all(&[request(200_000), vec![7; 100]].concat()).await.unwrap();
        let mut answer = Vec::new();
        half.read_to_end(&mut answer).await.ok();
        assert!(answer.is_empty(), "it is not handled");
    }

    #[tokio::test]
    async fn silent_clients_do_not_block_others() {
        let (_dir, path) = server();
        let mut silent = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            silent.push(UnixStream::connect(&path).await.unwrap());
        }
        let answer = say(&path, b"{\"v\":1,\"ask\":\"models\"}\n").await;
        assert!(
            matches!(answer, Response::Ok(_)),
            "served once the silent ones have had their time"
        );
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SOCKET);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "as a kill leaves it");
        let server = ControlServer::open(dir.path()).unwrap();
        let second = ControlServer::open(dir.path()).map(|_| ()).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        drop(server);
        assert!(!path.exists());
        fs::write(&path, "a file of somebody else's").unwrap();
        assert!(ControlServer::open(dir.path()).is_err());
        assert!(path.exists(), "and it stays");
    }
}
