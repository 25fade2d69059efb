//! Packs the dashboard into the binary: `dashboard/build`, which npm makes here
//! where its sources are newer.
//!
//! `PICLOUD_DASHBOARD` says how much it is wanted:
//! - `build`, the default, takes it where it can be had, and otherwise warns;
//!   whoever runs `cargo run` with Node at hand gets the whole of PiCloud.
//! - `require` fails where it cannot be had: for what is handed to others.
//! - `off` does not even try: for builds that are about Rust alone, such as
//!   those of CI's first steps.
//!
//! npm runs within `dashboard/`, and only when the lock file or a source is
//! newer than what it made the last time.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;

const WISH: &str = "PICLOUD_DASHBOARD";

/// What the build is made of, from the dashboard's folder on. New apps start
/// from the examples.
const SOURCES: &[&str] = &[
    "package.json",
    "package-lock.json",
    "svelte.config.js",
    "vite.config.ts",
    "tsconfig.json",
    "scripts",
    "src",
    "static",
    "../examples",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={WISH}");
    let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out_dir = PathBuf::from(variable("OUT_DIR").unwrap_or_default());
    let wish = variable(WISH).unwrap_or_else(|| "build".to_owned());
    let dashboard = manifest_dir.ancestors().nth(2).unwrap_or(&manifest_dir).join("dashboard");

    let made = match wish.as_str() {
        "off" => None,
        "build" | "require" => match make(&manifest_dir, &dashboard) {
            Ok(()) => Some(dashboard.join("build")),
            Err(reason) if wish == "require" => fail(&format!("no dashboard: {reason}")),
            Err(reason) => {
                let earlier = dashboard.join("build");
                let is_there = earlier.join("index.html").exists();
                let what = if is_there { "an earlier dashboard" } else { "no dashboard" };
                println!("cargo::warning=this server has {what}: {reason}");
                is_there.then_some(earlier)
            }
        },
        _ => fail(&format!("{WISH} is build, require or off, and not {wish:?}")),
    };
    if let Err(error) = pack(made.as_deref(), &out_dir) {
        fail(&format!("cannot pack the dashboard: {error}"));
    }
}

/// Has `dashboard/build` made of its sources, unless it already is; the error is
/// one line.
fn make(manifest_dir: &Path, dashboard: &Path) -> Result<(), String> {
    if !dashboard.join("package.json").exists() {
        return Err("the sources have no dashboard/".to_owned());
    }
    let sources: Vec<PathBuf> = SOURCES.iter().map(|path| dashboard.join(path)).collect();
    // Cargo takes what does not exist for changed, every time.
    for source in sources.iter().filter(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", source.display());
    }
    let unreadable = |error: io::Error| format!("dashboard/ cannot be read: {error}");
    // One npm at a time, though cargo may be at work in several target
    // directories. Any file will do that all of them have.
    let lock = File::open(manifest_dir.join("build.rs")).map_err(unreadable)?;
    lock.lock().map_err(unreadable)?;

    let mut newest = SystemTime::UNIX_EPOCH;
    for source in &sources {
        newest = newest.max(changed_at(source).map_err(unreadable)?);
    }
    let index = dashboard.join("build").join("index.html");
    if modified_at(&index).is_some_and(|at| at >= newest) {
        // Somebody may build it by hand later on.
        println!("cargo::rerun-if-changed={}", index.display());
        return Ok(());
    }
    let installed_at = modified_at(&dashboard.join("node_modules").join(".package-lock.json"));
    if installed_at.is_none() || installed_at < modified_at(&dashboard.join("package-lock.json")) {
        npm(dashboard, &["ci", "--include=dev", "--no-audit", "--no-fund", "--fetch-retries=1"])?;
    }
    npm(dashboard, &["run", "build"])
}

/// Runs npm to its end; the error is one line.
fn npm(dashboard: &Path, args: &[&str]) -> Result<(), String> {
    let output = match Command::new("npm").current_dir(dashboard).args(args).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err("npm is not installed (install Node.js 20 or newer)".to_owned());
        }
        Err(error) => return Err(format!("npm cannot be run: {error}")),
    };
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let first = told.lines().map(str::trim).find(|line| !line.is_empty());
    let reason = first.unwrap_or("it does not say why");
    Err(format!("`npm {}` failed: {reason}", args.join(" ")))
}

/// When a file, or anything in a folder, was changed last. A folder changes
/// with what it loses.
fn changed_at(path: &Path) -> io::Result<SystemTime> {
    let Some(mut newest) = modified_at(path) else { return Ok(SystemTime::UNIX_EPOCH) };
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            newest = newest.max(changed_at(&entry?.path())?);
        }
    }
    Ok(newest)
}

fn modified_at(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// Writes every file of `build` compressed into `out_dir`, and a table of them,
/// in the order of their paths: that is `dashboard.rs`, which the crate includes.
fn pack(build: Option<&Path>, out_dir: &Path) -> io::Result<()> {
    let mut paths = Vec::new();
    if let Some(build) = build {
        collect(build, "", &mut paths)?;
    }
    paths.sort_unstable();
    let packed = out_dir.join("dashboard");
    fs::create_dir_all(&packed)?;
    let mut table = "&[\n".to_owned();
    for (number, path) in paths.iter().enumerate() {
        let contents = fs::read(build.unwrap_or(out_dir).join(path))?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&contents)?;
        fs::write(packed.join(format!("{number}.gz")), gzip.finish()?)?;
        let file = format!("concat!(env!(\"OUT_DIR\"), \"/dashboard/{number}.gz\")");
        // Writing to a String does not fail.
        let _ = writeln!(table, "    ({path:?}, include_bytes!({file})),");
    }
    table.push_str("]\n");
    fs::write(out_dir.join("dashboard.rs"), table)
}

/// The files of a folder, as paths with slashes from `build` on.
fn collect(folder: &Path, prefix: &str, paths: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "cargo talks to build scripts through the environment"
)]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

fn fail(message: &str) -> ! {
    eprintln!("\nerror: {message}");
    exit(1)
}
