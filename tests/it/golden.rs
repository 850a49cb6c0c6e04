//! The report of the sample bundle as it goes into a ticket. `just golden` writes it anew: read the difference before
//! accepting it.

use kubetriage::report::{Format, render};

use crate::common;

#[test]
fn the_report_of_the_sample_bundle_is_as_accepted() {
    let found = common::diagnosis(&common::sample("bundles/contoso-shop"));
    let text = render(&found, Format::Markdown).unwrap();
    // A cause more or less that nothing was known of is no change of this report.
    let decided = |line: &&str| !line.contains("**not evaluated**");
    let text = text.lines().filter(decided).collect::<Vec<_>>().join("\n") + "\n";
    let path = common::sample("bundles/contoso-shop.expected.md");
    if std::env::var_os("KUBETRIAGE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let accepted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(accepted == text, "{} differs: read it, then run `just golden`", path.display());
}
