//! Every saved input once more, and the first ones as the samples are now: what was found stays found.

use std::path::Path;

use kubetriage_fuzz::{TARGETS, seeds};

#[test]
fn saved_inputs_are_harmless() {
    for (target, check) in TARGETS {
        let saved = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        let mut files: Vec<_> =
            std::fs::read_dir(&saved).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "no saved input of {target}");
        let began = std::time::Instant::now();
        let count = files.len();
        for file in files {
            // A panic below is of the input that was named last.
            println!("{}", file.display());
            check(&std::fs::read(&file).unwrap());
        }
        println!("{target}: {count} saved inputs in {:?}", began.elapsed());
        for (number, seed) in seeds::seeds(target).iter().enumerate().step_by(SHARE) {
            println!("{target}: seed {number}");
            check(seed);
        }
        println!("{target}: and seeds, {:?}", began.elapsed());
    }
}

/// One seed in so many: the samples are read by the tests of the program as well, and the whole takes less than a minute.
const SHARE: usize = 30;
