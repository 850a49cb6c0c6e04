//! OPEN: whatever was sent goes in, record-aligned blocks of text come out.
//!
//! A bundle is a folder, a file, a stream, or an archive of archives. Nothing is ever written to disk:
//! archives are read as streams, so names like `../../etc/passwd`, links and devices are only words.
//! Reader threads inflate and cut; the workers that understand the blocks run elsewhere (see
//! [`crate::scan`]), with back-pressure by bytes between the two.

mod ahead;
mod archive;
mod block;
mod containers;
mod decode;
#[cfg(test)]
mod faults;
mod frame;
mod inflate;
mod input;
mod limits;
mod progress;
mod reader;
mod stream;
mod stream_reader;

pub use block::{Block, Entry};
pub use frame::{Framer, Lines, Whole};
pub use input::{Input, OpenError};
pub use limits::Limits;
pub use progress::Progress;
pub use reader::{Inputs, open};
pub use stream_reader::{EntryReport, Recognised, Recogniser};
