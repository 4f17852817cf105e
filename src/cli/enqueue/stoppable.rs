//! Files that are read until somebody presses Ctrl-C: whoever waits for a pipe or reads a large file notices it at the next
//! piece, as a fault of the file, and says what went in.

use std::io::{Error, ErrorKind, Read};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

/// Longest wait for a pipe before the signal is looked for.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

pub(super) struct Stoppable<F> {
    file: F,
    stop: CancellationToken,
}

impl<F: Read + AsFd> Stoppable<F> {
    pub(super) fn new(file: F, stop: CancellationToken) -> Self {
        Self { file, stop }
    }

    /// Whether there is something to read; the end counts as that.
    fn is_ready(&self) -> std::io::Result<bool> {
        match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&LOOK_EVERY)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl<F: Read + AsFd> Read for Stoppable<F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            if self.stop.is_cancelled() {
                return Err(Error::other("interrupted"));
            }
            if !self.is_ready()? {
                continue;
            }
            match self.file.read(buffer) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                read => return read,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    #[test]
    fn a_pipe_is_read_to_its_end_and_waited_for_only_until_the_signal() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let stop = CancellationToken::new();
        let mut pipe = Stoppable::new(reader, stop.clone());
        writer.write_all(b"ab").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(pipe.read(&mut buffer).unwrap(), 2);
        let waiting = std::thread::spawn(move || pipe.read(&mut buffer).unwrap_err().to_string());
        stop.cancel();
        assert_eq!(waiting.join().unwrap(), "interrupted");
        drop(writer);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(writer);
        assert_eq!(Stoppable::new(reader, CancellationToken::new()).read(&mut buffer).unwrap(), 0);
    }
}
