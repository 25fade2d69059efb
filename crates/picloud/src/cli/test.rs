//! `picloud test`: runs an app's tests.

mod junit;
mod report;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;

use self::report::{Report, Summary};
use super::dev::state_dir;
use super::output::{Failed, Output};
use super::{Global, app_name, folder};
use crate::config::LogFormat;
use crate::server::{start_logging, stop_signal};
use crate::tester::Tester;
use crate::watch::Watch;

/// Run an app's tests
///
/// A test is a function `test_…` without parameters in a file under tests/. It
/// runs in the same sandbox as handlers, on an app without data, at a fixed
/// time, and reaches no other servers. It asks the app with
/// `app::request(method, path, body)`, and checks with `assert` and `assert_eq`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud test                         the current folder
  picloud test examples/guestbook
  picloud test --filter sign           tests whose file or name contains \"sign\"
  picloud test --watch                 again after every save
  picloud test --junit report.xml      for a CI server

Exit codes: 0 all passed, 1 something failed, 2 the command line is wrong.")]
pub struct TestArgs {
    /// The app's folder
    #[arg(default_value = ".")]
    path: PathBuf,

    /// Run only tests whose file#name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Show what tests log that pass, too
    #[arg(long)]
    show_output: bool,

    /// Run the tests again whenever a file is saved
    #[arg(long)]
    watch: bool,

    /// Also write the results to this file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    #[arg(long, env = "PICLOUD_CODE_CACHE_DIR", hide = true)]
    code_cache_dir: Option<PathBuf>,
}

pub async fn run(args: TestArgs, global: &Global) -> anyhow::Result<()> {
    start_logging(LogFormat::Text, "warn");
    let output = global.output();
    let app = match &global.app {
        Some(app) => app.clone(),
        None => app_name::of_path(&args.path)?,
    };
    let path = args.path.canonicalize()?;
    let cache_dir = match &args.code_cache_dir {
        Some(dir) => dir.clone(),
        None => state_dir(&path)?.join("cache"),
    };
    // Watching begins before reading, so that no save goes unnoticed.
    let watch = args.watch.then(|| Watch::start(&path, folder::is_ignored)).transpose();
    let watch = watch.with_context(|| format!("cannot watch {}", path.display()))?;
    let tester = Tester::start(app, &cache_dir).await?;
    let stop = stop_signal()?;
    let result = tokio::select! {
        result = repeat(&tester, &args, &path, watch, output) => result,
        // Who watches has seen enough; else there are tests that have not run.
        () = stop => if args.watch { Ok(()) } else { Err(Failed.into()) },
    };
    tester.shutdown().await;
    result
}

/// Runs the tests once, or for ever as files change.
async fn repeat(
    tester: &Tester,
    args: &TestArgs,
    path: &Path,
    watch: Option<Watch>,
    output: Output,
) -> anyhow::Result<()> {
    let Some(mut watch) = watch else {
        let summary = run_all(tester, args, path, output).await?;
        return if summary.failed == 0 { Ok(()) } else { Err(Failed.into()) };
    };
    loop {
        if let Err(error) = run_all(tester, args, path, output).await {
            // It may be right after the next save.
            let _ = output.failure(&error);
        }
        output.note("waiting for a change");
        watch.changed().await;
    }
}

async fn run_all(
    tester: &Tester,
    args: &TestArgs,
    path: &Path,
    output: Output,
) -> anyhow::Result<Summary> {
    let started = Instant::now();
    let mut suite = tester.load(folder::read(path)?).await?;
    if suite.tests.is_empty() {
        anyhow::bail!(
            "there are no tests in {}: a test is a function test_… in a file like tests/app.rhai",
            path.display()
        );
    }
    if let Some(filter) = &args.filter {
        suite.tests.retain(|test| format!("{}#{}", test.file, test.name).contains(filter.as_str()));
        if suite.tests.is_empty() {
            anyhow::bail!("no test has {filter:?} in its file#name");
        }
    }
    let mut report = Report::new(output, args.show_output);
    for test in &suite.tests {
        report.add(tester.run(&suite, test).await?)?;
    }
    if let Some(file) = &args.junit {
        junit::write(file, report.tests())
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(report.finish(started.elapsed())?)
}
