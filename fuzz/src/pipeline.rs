//! The whole way, from files to a report.

use kubetriage::bundle::Input;
use kubetriage::report::{Format, render};

use crate::{files, folder, is_due, judged, options};

/// Bytes as a few files: they are diagnosed, and alike on one thread and on four.
pub fn pipeline(data: &[u8]) {
    let folder = folder(&files(data));
    let facts = |threads| {
        let (_, diagnosis) = judged(folder.path(), threads);
        serde_json::to_string_pretty(&diagnosis).expect("plain data")
    };
    same(&facts(1), &facts(4));
    if is_due(data, 0, 16) {
        let whole = |threads| {
            let inputs = [Input::Path(folder.path().to_owned())];
            let found = kubetriage::diagnose(&inputs, &options(threads)).expect("the folder is there");
            render(&found, Format::Json).expect("plain data")
        };
        same(&whole(1), &whole(4));
    }
}

fn same(alone: &str, together: &str) {
    if alone != together {
        let differs = alone.lines().zip(together.lines()).find(|(a, b)| a != b);
        panic!("not the same on 1 and 4 threads: {differs:?}");
    }
}
