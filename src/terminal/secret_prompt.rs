//! Prompts for secrets on the terminal, without echo.

use std::io::{self, IsTerminal as _, Write as _};

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use super::failure::{Exit, Failure};

/// The longest password in bytes.
const MAX_SECRET_BYTES: usize = 1024;
const INTERRUPT: u8 = 3;
const END: u8 = 4;
const ERASE: [u8; 2] = [8, 127];
const ERASE_LINE: u8 = 21;

/// Prompts on the terminal; `None` if standard input is not one, so that a script never hangs.
pub(crate) fn ask_secret(prompt: &str) -> Result<Option<Vec<u8>>, Failure> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let failed = |error: io::Error| {
        Failure::new(Exit::Io, format!("cannot read a password from the terminal: {error}"))
    };
    let quiet = NoEcho::begin().map_err(failed)?;
    let mut screen = io::stderr();
    // The answer is read even if the prompt cannot be written.
    _ = write!(screen, "{prompt}: ").and_then(|()| screen.flush());
    let line = read_line(io::stdin().lock());
    drop(quiet);
    _ = writeln!(screen);
    match line.map_err(failed)? {
        Some(line) => Ok(Some(line)),
        None => Err(Failure::new(Exit::Failed, "no password entered")),
    }
}

/// Reads one line with a terminal's editing keys; `None` if it was interrupted or ended.
fn read_line(input: impl io::BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    for byte in input.bytes() {
        match byte? {
            b'\n' | b'\r' => return Ok(Some(line)),
            INTERRUPT => return Ok(None),
            END if line.is_empty() => return Ok(None),
            ERASE_LINE => line.clear(),
            byte if ERASE.contains(&byte) => erase(&mut line),
            byte if line.len() < MAX_SECRET_BYTES => line.push(byte),
            _ => return Err(io::Error::other("the password is too long")),
        }
    }
    Ok(None)
}

/// Takes the last character away, all bytes of it.
fn erase(line: &mut Vec<u8>) {
    while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

/// A terminal without echo; dropping it restores the former modes. Keyboard signals are off too,
/// because a process ended by them would leave the terminal without echo.
struct NoEcho(Termios);

impl NoEcho {
    fn begin() -> io::Result<Self> {
        let former = tcgetattr(io::stdin())?;
        let mut quiet = former.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        quiet.input_modes |= InputModes::ICRNL;
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Drain, &quiet)?;
        Ok(Self(former))
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        // A failure cannot be reported here.
        _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> Option<Vec<u8>> {
        read_line(bytes).unwrap()
    }

    #[test]
    fn a_line_is_edited_as_a_terminal_would() {
        assert_eq!(typed(b"secret\nmore").unwrap(), b"secret");
        assert_eq!(typed("päs\x7f\x7fass\r".as_bytes()).unwrap(), b"pass");
        assert_eq!(typed(b"wrong\x15right\n").unwrap(), b"right");
        assert_eq!(typed(b"\x7f\n").unwrap(), b"");
        assert_eq!(typed(b"half\x03\n"), None);
        assert_eq!(typed(b"\x04"), None);
        assert_eq!(typed(b"ended"), None);
        assert!(read_line(&*vec![b'a'; MAX_SECRET_BYTES + 1]).is_err());
    }
}
