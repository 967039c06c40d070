# One line each. What needs an `if` is in tests/workbench, which has tests.
workbench := "cargo run --quiet --package cofferdam-workbench --"

# List the recipes
[private]
default:
    @{{just_executable()}} --list --unsorted

# Build the programs and the first-party steps, and say where they are
build:
    @{{workbench}} build

# Push to a hub, watch a runner do the steps, live; --keep leaves everything running
demo *args:
    @{{workbench}} demo {{args}}

# Set up what tests need, run them, and list what could not run on this host
test *args:
    @{{workbench}} test {{args}}

# Check format and lints
check: fmt lint

# Check the format
fmt:
    cargo fmt --all --check
    cargo fmt --manifest-path tests/guests/Cargo.toml --check

# Check the lints
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Check format, lints and secrets with Cofferdam itself: `cofferdam run` on cofferdam.yml
self *args:
    @{{workbench}} self {{args}}

# Check licences, sources, advisories, and who may depend on what
deny:
    @{{workbench}} deny

# Make wasm targets, compilers, a container engine and an image available; once
setup:
    @{{workbench}} setup

# Measure how long pipeline files take to resolve and steps to begin, with the profile that is tested
bench:
    cargo bench --package cofferdam-pipeline --bench resolve --profile dev --locked
    cargo bench --package cofferdam-runner --bench steps --profile dev --locked

# Run ten thousand steps in one runner, one in three of them hostile, and look at what they leave
soak steps="10000":
    COFFERDAM_SOAK_STEPS={{steps}} cargo test --package cofferdam-runner --test wasm --locked -- --nocapture --exact soak::many_steps_leave_nothing_behind

# Build every guest into target/guests
guests *args:
    @{{workbench}} guests {{args}}

# Make a container engine usable and say which in target/engine.json
engine:
    @{{workbench}} engine

# Make the image that cofferdam.yml names, offline, from files of this host
image:
    @{{workbench}} image

# Synthesise a counter with Yosys as a step: 69 MB of wasm that nobody here wrote
yosys *width:
    @{{workbench}} yosys {{width}}
