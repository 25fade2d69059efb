//! Builds the guest for `wasm32-unknown-unknown` and encodes it as a component.
//!
//! The guest gets a target directory of its own (`target/guest`), for this
//! script runs while cargo holds the lock of the usual one. It is always built
//! with the `guest` profile: a debug build of an interpreter helps nobody.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const TARGET: &str = "wasm32-unknown-unknown";

fn main() {
    let manifest_dir = PathBuf::from(require("CARGO_MANIFEST_DIR"));
    let out_dir = PathBuf::from(require("OUT_DIR"));
    let root = manifest_dir.parent().unwrap_or(&manifest_dir).to_owned();

    // The lock file counts because it says which Rhai the guest is made of.
    for input in ["guest/src", "guest/Cargo.toml", "wit", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }

    let target_dir = guest_target_dir(&out_dir);
    let module = build(&root, &target_dir);
    let component = encode(&module);
    if let Err(error) = std::fs::write(out_dir.join("guest.wasm"), component) {
        fail(&format!("cannot write the guest component: {error}"));
    }
}

/// `target/guest`, so that the dev and release builds share one guest: `OUT_DIR`
/// is `target/<profile>/build/<package>/out`.
fn guest_target_dir(out_dir: &Path) -> PathBuf {
    out_dir.ancestors().nth(4).unwrap_or(out_dir).join("guest")
}

fn build(root: &Path, target_dir: &Path) -> PathBuf {
    let mut cargo = Command::new(require("CARGO"));
    cargo
        .current_dir(root)
        // The library alone and not the rlib beside it, or there is no LTO, which
        // makes scripts run up to a quarter faster.
        .args(["rustc", "--package", "picloud-guest", "--lib", "--crate-type", "cdylib"])
        .args(["--profile", "guest", "--target", TARGET, "--target-dir"])
        .arg(target_dir)
        // What the outer cargo set for the host's own compilation (clippy's
        // wrapper, flags for this machine's processor) is not meant for wasm.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", "");
    let output = match cargo.output() {
        Ok(output) => output,
        Err(error) => fail(&format!("cannot run cargo for the guest: {error}")),
    };
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        if stderr.contains("can't find crate for `std`")
            || stderr.contains("can't find crate for `core`")
        {
            fail(&format!(
                "PiCloud's guest is compiled to WebAssembly and the Rust target for it is missing.\n\
                 Install it with this command, then build again:\n\n    rustup target add {TARGET}\n"
            ));
        }
        fail(&format!("the guest does not compile:\n{stderr}"));
    }
    target_dir.join(TARGET).join("guest").join("picloud_guest.wasm")
}

fn encode(module: &Path) -> Vec<u8> {
    let bytes = match std::fs::read(module) {
        Ok(bytes) => bytes,
        Err(error) => fail(&format!("cannot read {}: {error}", module.display())),
    };
    let encoded = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|mut encoder| encoder.encode());
    match encoded {
        Ok(component) => component,
        Err(error) => fail(&format!("the guest is not a component of wit/world.wit: {error:#}")),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo talks to build scripts through the environment"
)]
fn require(name: &str) -> String {
    match env::var(name) {
        Ok(value) => value,
        Err(error) => fail(&format!("cargo should set {name}: {error}")),
    }
}

fn fail(message: &str) -> ! {
    eprintln!("\nerror: {message}");
    exit(1)
}
