# Thin names for the commands that matter. `just check` is what CI runs.

# Build and run an app folder, redeployed on every save.
dev app="examples/guestbook":
    cargo run -- dev {{app}}

# Build the guest component alone (the host's build script does this by itself).
guest:
    cargo rustc -p picloud-guest --lib --crate-type cdylib --profile guest --target wasm32-unknown-unknown --target-dir target/guest

# Everything that CI runs.
check:
    bash .ci/run

test:
    cargo test --workspace

# The store's contract suite on PostgreSQL; fails where there is none.
test-pg:
    PICLOUD_REQUIRE_POSTGRES=1 cargo test -p picloud-store

# Kills the server many times, at random moments and at fail points, and looks
# for what is lost or doubled: 200 times on SQLite, 60 times on PostgreSQL.
chaos:
    PICLOUD_CHAOS_KILLS=200 cargo test -p picloud --test it -- --nocapture chaos::nothing_is_lost_or_doubled_on_sqlite
    PICLOUD_REQUIRE_POSTGRES=1 PICLOUD_CHAOS_KILLS=60 cargo test -p picloud --test it -- --nocapture chaos::nothing_is_lost_or_doubled_on_postgres

# The dashboard alone: its checks, its build, and a browser that goes through it.
dashboard:
    cargo build -p picloud
    cd dashboard && npm ci && npm run check && npm run lint && npm test && npm run build && npm run size && npm run e2e

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets -- -D warnings

# The figures of docs/benchmarks.md.
bench:
    cargo bench -p picloud-host
    cargo bench -p picloud --bench http --bench scale --bench sdk

# What is generated: docs/sdk/, of what the SDK registers and its examples, and
# docs/openapi.json, of what the API's handlers say.
regen:
    PICLOUD_REGEN=1 cargo test -p picloud-guest --test it reference
    PICLOUD_REGEN=1 cargo test -p picloud --test it openapi
