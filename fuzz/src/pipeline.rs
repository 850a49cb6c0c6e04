//! The whole way, from files to a report.

use kubetriage::report::{Format, render};

use crate::{diagnosed, files, folder, options};

/// Bytes as a few files: they are diagnosed, and alike on one thread and on four.
pub fn pipeline(data: &[u8]) {
    let folder = folder(&files(data));
    let json =
        |threads| render(&diagnosed(folder.path(), &options(threads)), Format::Json).expect("plain data");
    let (alone, together) = (json(1), json(4));
    if alone != together {
        let differs = alone.lines().zip(together.lines()).find(|(a, b)| a != b);
        panic!("not the same on 1 and 4 threads: {differs:?}");
    }
}
