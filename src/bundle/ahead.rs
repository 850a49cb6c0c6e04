//! A file read on a thread of its own, ahead of who inflates it: the inflating is what a large archive waits for.

use std::fs::File;
use std::io::{self, Read};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

/// Bytes of a piece.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait.
const PIECES: usize = 4;

/// The bytes of a file, some of them read ahead.
pub(super) struct Ahead {
    full: Receiver<io::Result<ReadPiece>>,
    /// Pieces to be filled again.
    empty: Sender<Vec<u8>>,
    now: ReadPiece,
    given: usize,
}

#[derive(Default)]
struct ReadPiece {
    bytes: Vec<u8>,
    filled: usize,
}

impl Ahead {
    /// Begins to read; the file itself where there is no thread to be had.
    pub(super) fn of(file: File) -> Result<Self, File> {
        let (full_in, full) = bounded(PIECES);
        let (empty, empty_out) = bounded::<Vec<u8>>(PIECES + 1);
        let Ok(mut reader) = file.try_clone() else { return Err(file) };
        let reading = move || {
            // It ends with the file, or when nobody reads on.
            loop {
                let mut bytes = empty_out.try_recv().unwrap_or_default();
                bytes.resize(PIECE_BYTES, 0);
                let piece = read(&mut reader, &mut bytes).map(|filled| ReadPiece { bytes, filled });
                let last = piece.as_ref().map_or(true, |piece| piece.filled == 0);
                if full_in.send(piece).is_err() || last {
                    return;
                }
            }
        };
        match thread::Builder::new().spawn(reading) {
            Ok(_) => Ok(Self { full, empty, now: ReadPiece::default(), given: 0 }),
            Err(_) => Err(file),
        }
    }
}

fn read(file: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given == self.now.filled {
            // Nothing more comes after the end or an error.
            let Ok(next) = self.full.recv() else { return Ok(0) };
            let used = std::mem::replace(&mut self.now, next?);
            self.given = 0;
            let _ = self.empty.try_send(used.bytes);
        }
        let mut rest = self.now.bytes.get(self.given..self.now.filled).unwrap_or_default();
        let count = Read::read(&mut rest, out)?;
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    #[test]
    fn a_file_comes_whole_and_from_where_it_stood() {
        let mut file = tempfile::tempfile().unwrap();
        let text: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        file.write_all(&text).unwrap();
        file.seek(io::SeekFrom::Start(10)).unwrap();
        let mut ahead = Ahead::of(file).ok().unwrap();
        let mut read = Vec::new();
        ahead.read_to_end(&mut read).unwrap();
        assert_eq!(read, &text[10..]);
        assert_eq!(ahead.read(&mut [0; 8]).unwrap(), 0);
    }
}
