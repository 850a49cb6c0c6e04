//! Writes the first inputs of a target into a folder: `seeds <target> <folder>`.

#![allow(clippy::disallowed_methods, reason = "what it writes is no report")]

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(target), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err(std::io::Error::other("usage: seeds <target> <folder>"));
    };
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder)?;
    for (number, seed) in kubetriage_fuzz::seeds::seeds(&target).into_iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number:04}")), seed)?;
    }
    Ok(())
}
