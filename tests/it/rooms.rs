//! Data moves one way: a room of the house may use the rooms before it, never those after it.

use crate::common;
/// In the order in which they may be used. `bytes` is a tool of all, `facts` the vocabulary in which `formats` write.
const ROOMS: [&str; 10] =
    ["bytes", "evidence", "bundle", "facts", "formats", "cluster", "detectors", "diagnosis", "report", "cli"];

#[test]
fn no_room_uses_a_room_after_it() {
    let mut wrong = Vec::new();
    for (at, room) in ROOMS.iter().enumerate() {
        let later = &ROOMS[at + 1..];
        let folder = common::root().join("src").join(room);
        let files = if folder.is_dir() { common::files(&folder) } else { vec![folder.with_extension("rs")] };
        assert!(!files.is_empty(), "{room} is empty");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                for used in later {
                    if line.contains(&format!("crate::{used}")) {
                        wrong.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "rooms that look the wrong way:\n{}", wrong.join("\n"));
}

#[test]
fn every_folder_is_a_known_room() {
    for folder in common::folders(&common::root().join("src")) {
        assert!(ROOMS.contains(&common::name(&folder).as_str()), "{}", folder.display());
    }
}
