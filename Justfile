# Formatting and lints
check:
    cargo fmt --all --check
    cargo clippy --all-targets -- -D warnings
    .ci/licences

# All tests
test:
    cargo test

# Accept the reports of the sample bundles as they are now: read the difference first
golden:
    KUBETRIAGE_GOLDEN=1 cargo test --test golden --test catalogue
    git --no-pager diff --stat samples

# Make the generated documents anew
docs:
    mkdir -p docs/man
    cargo run --quiet -- detectors --markdown > docs/detectors.md
    cargo run --quiet -- schema > docs/report.schema.json

# Run over a folder of real bundles and print a table
conformance folder:
    cargo test --release --test conformance -- {{folder}}

# The report in a real browser (chromium and node must be there); pictures go into a folder when one is named
browser pictures='':
    cd tests/browser && npm install --no-audit --no-fund --no-package-lock --silent
    cargo build --release
    node tests/browser/run.mjs target/release/kubetriage {{pictures}}

# Measure against unpacking and everything else a user would do; writes docs/performance.md
bench *arguments:
    cargo bench --bench bundle -- --runs 3 --page docs/performance.md {{arguments}}

# Measure the rooms one by one
bench-parts *arguments:
    cargo bench --bench parts -- {{arguments}}

# Make a report of the sample bundle
demo:
    cargo run --release -- report samples/bundles/contoso-shop

# What CI runs
ci:
    .ci/run
