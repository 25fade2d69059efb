//! `picloud backup`: everything that a server has, in one file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use futures_util::{Stream, StreamExt as _};
use picloud_store::backup::{self, End, Head};
use serde_json::json;

use super::Global;
use super::output::{Usage, warning_text};
use super::progress::Progress;
use super::sealed::{Opening, PassphraseArgs, Sealing};
use super::text::{self, GOOD};
use crate::client;

/// Back up everything that a server has, while it runs
///
/// One file of one moment: apps, releases, entries, files, secrets, users,
/// executions, logs. It is read once more, and checked, before it gets its
/// name. The master key is not in it; without that key its secrets cannot be
/// opened, so keep the server's master.key somewhere else.
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud backup picloud.backup
  picloud backup --server https://picloud.example.org --force nightly.backup
  picloud backup --encrypt picloud.backup
  picloud backup - | ssh vault 'cat > picloud.backup'")]
pub struct BackupArgs {
    /// The file to write, or - for stdout
    file: PathBuf,
    #[command(flatten)]
    saving: SavingArgs,
}

/// How a file is written.
#[derive(Args)]
pub(super) struct SavingArgs {
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
    /// Seal it with a passphrase, which is asked for
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub async fn run(args: BackupArgs, global: &Global) -> anyhow::Result<()> {
    let client = global.client()?;
    let saved = args.saving.save("backing up", &args.file, global, client.backup()).await?;
    let Some(Saved { head, end, bytes }) = saved else { return Ok(()) };
    let output = global.output();
    if end.missing > 0 {
        output.note(&warning_text(&missing(&end)));
    }
    let shown = args.file.display();
    output.result(&summary(&head, &end, bytes), |_| {
        format!("{GOOD}backed up{GOOD:#} to {shown}: {}, {}", text::bytes(bytes), counts(&end))
    })?;
    output.note("The master key is not in it: keep the server's master.key somewhere else.");
    Ok(())
}

/// What was written, and read once more.
pub(super) struct Saved {
    pub head: Head,
    pub end: End,
    pub bytes: u64,
}

impl SavingArgs {
    /// Writes what comes into the file, which has its name only once all of it
    /// was read again and found whole; or, unread, to stdout.
    pub(super) async fn save<S>(
        &self,
        doing: &'static str,
        file: &Path,
        global: &Global,
        chunks: impl Future<Output = Result<S, client::Error>>,
    ) -> anyhow::Result<Option<Saved>>
    where
        S: Stream<Item = Result<Bytes, client::Error>>,
    {
        let passphrase = self.passphrase.to_seal(self.encrypt)?;
        if file == Path::new("-") {
            if global.output().json {
                let message = "with --json there is no room on stdout for the file; name one";
                return Err(Usage(message.to_owned()).into());
            }
            let mut stdout = io::stdout().lock();
            receive(doing, chunks.await?, &mut stdout, passphrase.as_deref()).await?;
            return Ok(None);
        }
        let shown = file.display();
        let context = || format!("cannot write {shown}");
        if file.exists() && !self.force {
            let message = format!("there is a file {shown} already; --force replaces it");
            return Err(Usage(message).into());
        }
        // Beside it, readable by its owner alone, and gone unless it becomes whole.
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut part = tempfile::Builder::new()
            .prefix(".picloud-backup-")
            .tempfile_in(folder)
            .with_context(context)?;
        let passphrase = passphrase.as_deref();
        receive(doing, chunks.await?, part.as_file_mut(), passphrase)
            .await
            .with_context(context)?;
        part.as_file().sync_all().with_context(context)?;

        let written = part.reopen()?;
        let bytes = written.metadata()?.len();
        let read = match passphrase {
            Some(passphrase) => verify(Opening::new(written, passphrase)?, bytes).await,
            None => verify(written, bytes).await,
        };
        let (head, end) = read.context("what the server sent is not whole")?;
        let named = if self.force { part.persist(file) } else { part.persist_noclobber(file) };
        named.map_err(|error| error.error).with_context(context)?;
        File::open(folder)?.sync_all()?;
        Ok(Some(Saved { head, end, bytes }))
    }
}

/// Writes the chunks, sealed if there is a passphrase.
async fn receive(
    doing: &'static str,
    chunks: impl Stream<Item = Result<Bytes, client::Error>>,
    to: &mut impl Write,
    passphrase: Option<&str>,
) -> anyhow::Result<()> {
    let progress = Progress::endless(doing);
    match passphrase {
        None => write(chunks, to, &progress).await?,
        Some(passphrase) => {
            let mut sealing = Sealing::new(&mut *to, passphrase)?;
            write(chunks, &mut sealing, &progress).await?;
            sealing.finish()?;
        }
    }
    Ok(to.flush()?)
}

async fn write(
    chunks: impl Stream<Item = Result<Bytes, client::Error>>,
    to: &mut impl Write,
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut chunks = std::pin::pin!(chunks);
    let mut bytes = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        to.write_all(&chunk)?;
        bytes += chunk.len() as u64;
        progress.at(bytes);
    }
    Ok(())
}

/// Reads a backup to its end, away from the threads that wait for the network.
/// It has about so many bytes.
pub(super) async fn verify(
    file: impl Read + Send + 'static,
    bytes: u64,
) -> anyhow::Result<(Head, End)> {
    let progress = Progress::of("checking", bytes);
    let verify = move || backup::verify(file, |bytes| progress.at(bytes));
    Ok(tokio::task::spawn_blocking(verify).await??)
}

pub(super) fn summary(head: &Head, end: &End, bytes: u64) -> serde_json::Value {
    json!({ "backup": head, "bytes": bytes, "contents": end })
}

/// What is in a backup, in a few words.
pub(super) fn counts(end: &End) -> String {
    let rows = |table: &str| end.rows.get(table).copied().unwrap_or_default();
    let parts = [
        (rows("apps"), "apps"),
        (rows("users"), "users"),
        (rows("releases"), "releases"),
        (rows("kv"), "entries"),
        (rows("files"), "files"),
    ];
    parts.map(|(count, noun)| format!("{} {noun}", text::number(count))).join(", ")
}

pub(super) fn missing(end: &End) -> String {
    format!(
        "{} of the files have no contents: they were not in the server's data directory",
        text::number(end.missing)
    )
}
