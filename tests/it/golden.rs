//! The reports of the sample bundles, byte for byte. `just golden` writes them anew: read the difference
//! before accepting it.

use crate::common;
use kubetriage::report::{Format, redact, render};

#[test]
fn reports_of_the_sample_bundles_are_as_accepted() {
    let write = std::env::var_os("KUBETRIAGE_GOLDEN").is_some();
    let mut bundles: Vec<_> = common::folders(&common::sample("bundles"));
    bundles.retain(|path| !common::name(path).ends_with(".golden"));
    assert!(!bundles.is_empty());
    for bundle in bundles {
        let mut found = common::diagnosis(&bundle);
        redact(&mut found, None);
        let golden = bundle.with_extension("golden");
        if write {
            std::fs::create_dir_all(&golden).unwrap();
        }
        for format in Format::ALL {
            let path = golden.join(format!("report.{}", format.name()));
            let text = render(&found, format).unwrap();
            if write {
                std::fs::write(&path, &text).unwrap();
            }
            let accepted = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(accepted == text, "{} differs: look at it, then run `just golden`", path.display());
        }
    }
}
