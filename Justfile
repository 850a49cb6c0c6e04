# Formatting and lints
check:
    git ls-files -z '*.rs' | xargs -0 rustfmt --check --edition 2024
    cargo clippy --workspace --all-targets -- -D warnings

# Licences, sources, duplicates and advisories of the dependencies (fetches the list of advisories)
deny:
    cargo deny --workspace check

# All tests but those of the real bundles
test:
    cargo test
    cargo test --package kubetriage-standards

# Accept what the report says of each sample now: read the difference first
golden:
    KUBETRIAGE_GOLDEN=1 cargo test --test it -- golden wording
    git --no-pager diff --stat samples

# The parts of a new cause: its file, its row in the chapter's table, its samples (`just new-cause dns coredns-slow`)
new-cause chapter id:
    tests/scaffold cause {{chapter}} {{id}}

# The samples of causes that are data (`knowledge/causes`), from their messages
new-samples:
    tests/scaffold samples

# The parts of a new input format (`just new-format ss-output`)
new-format name:
    tests/scaffold format {{name}}

# Score on cases with known truth, by area (`just score ../shared/data`)
score data:
    cargo build --release
    tests/score {{data}}

# Raise the floors of tests/floors.json to the scores of now; none is lowered
floors data:
    cargo build --release
    tests/score {{data}} --raise

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
bench *arguments='--page docs/performance.md':
    cargo build --release --workspace
    target/release/bench-bundle {{arguments}}

# Measure the rooms one by one
bench-parts *arguments:
    cargo bench --package kubetriage-benches --bench parts -- {{arguments}}

# Fuzz one target, or each in turn (needs cargo-fuzz and a C++ compiler); what is found lies in fuzz/artifacts
fuzz target='' seconds='60':
    #!/usr/bin/env bash
    set -euo pipefail
    cd fuzz
    # Without a sanitizer: there is no `unsafe` of our own, and a stable compiler will do.
    export RUSTC_BOOTSTRAP=1
    for target in {{ if target == '' { '$(cargo fuzz list)' } else { target } }}; do
        # What is new goes where the seeds are; `fuzz-keep` takes from there what is worth saving.
        cargo run --quiet --no-default-features --example seeds -- "$target" "found/$target"
        mkdir -p "corpus/$target"
        cargo fuzz run $(./flags "$target") "$target" "found/$target" "corpus/$target" -- -dict=kubernetes.dict \
            -max_len=65536 -timeout=10 -rss_limit_mb=2048 -max_total_time={{seconds}} -print_final_stats=1
    done

# Save the inputs that reach what no other reaches, smallest first, up to so many bytes; CI replays them
fuzz-keep target bytes='150000':
    #!/usr/bin/env bash
    set -euo pipefail
    cd fuzz
    export RUSTC_BOOTSTRAP=1
    merged=$(mktemp -d)
    trap 'rm -rf "$merged"' EXIT
    cargo fuzz run $(./flags {{target}}) {{target}} "$merged" corpus/{{target}} found/{{target}} -- -merge=1 -max_len=65536 -timeout=10
    rm -rf corpus/{{target}} && mkdir -p corpus/{{target}}
    total=0
    while read -r size name; do
        total=$((total + size))
        test "$total" -le {{bytes}} || break
        cp "$merged/$name" corpus/{{target}}/
    done < <(cd "$merged" && stat --format '%s %n' -- * | sort -n)

# Replay the saved inputs without a fuzzer
fuzz-replay:
    cargo test --manifest-path fuzz/Cargo.toml --no-default-features

# Make a report of the sample bundle
demo:
    cargo run -- report samples/bundles/contoso-shop

# What CI runs
ci:
    .ci/run
