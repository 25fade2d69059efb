//! `picloud restore`: a data directory, or a database, made of a backup.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use picloud_shared::Vault;
use picloud_store::backup::{self, End, Error, Head};
use serde_json::json;

use super::Global;
use super::backup::{counts, missing, summary, verify};
use super::output::{Usage, warning_text};
use super::progress::Progress;
use super::sealed::PassphraseArgs;
use super::text::GOOD;
use crate::config::{ServerConfig, Settings};
use crate::data_dir::{DataDir, MASTER_KEY_FILE};

/// Make a server's data of a backup, while no server runs
///
/// The backup is read to its end and checked before anything is touched. It may
/// be of another PiCloud and of another kind of database. What is replaced in
/// the data directory is kept there, in before-restore-1; what is replaced in a
/// PostgreSQL database is gone.
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud restore picloud.backup --data-dir restored
  picloud restore picloud.backup --database-url postgres://picloud@localhost/picloud
  ssh vault 'cat picloud.backup' | picloud restore - --data-dir restored")]
pub struct RestoreArgs {
    /// The backup, or - for stdin
    file: PathBuf,
    /// Replace what is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,

    /// The server's data directory, made if missing [default: ./picloud-data]
    #[arg(long, env = "PICLOUD_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// The server's PostgreSQL database [default: SQLite in the data directory]
    #[arg(long, env = "PICLOUD_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,

    /// The server's configuration file [default: picloud-server.toml, if there is one]
    #[arg(long, env = "PICLOUD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

pub async fn run(args: RestoreArgs, global: &Global) -> anyhow::Result<()> {
    let settings = Settings {
        data_dir: args.data_dir,
        database_url: args.database_url,
        ..Settings::default()
    };
    let config = ServerConfig::load(settings, args.config.as_deref())?;
    let shown = args.file.display();
    let context = || format!("cannot read {shown}");
    let file = if args.file == Path::new("-") { spooled() } else { File::open(&args.file) };
    let file = args.passphrase.opened(file.with_context(context)?).with_context(context)?;
    let bytes = file.metadata().with_context(context)?.len();
    // Each reading begins at the start.
    let again = || {
        let mut file = file.try_clone()?;
        io::Seek::rewind(&mut file)?;
        Ok::<_, io::Error>(file)
    };
    let (head, end) =
        verify(again()?, bytes).await.with_context(|| format!("cannot restore {shown}"))?;
    if let Some(app) = head.app {
        return Err(Error::Bundle(app)).with_context(|| format!("cannot restore {shown}"));
    }

    let data_dir = DataDir::open(&config.data_dir)?;
    let kept = match &config.database_url {
        None => into_data_dir(again()?, bytes, &data_dir, args.force).await?,
        Some(url) => {
            into_postgres(again()?, bytes, &data_dir, url, args.force).await?;
            None
        }
    };

    let output = global.output();
    if end.missing > 0 {
        output.note(&warning_text(&missing(&end)));
    }
    if let Some(warning) = master_key(&config, &data_dir, &head, &end)? {
        output.note(&warning_text(&warning));
    }
    let mut result = summary(&head, &end, bytes);
    if let Some(result) = result.as_object_mut() {
        result.insert("kept".to_owned(), json!(kept));
    }
    output.result(&result, |_| format!("{GOOD}restored{GOOD:#} {}", counts(&end)))?;
    if let Some(kept) = kept {
        output.note(&format!(
            "What was there is in {}; delete it when you are sure.",
            kept.display()
        ));
    }
    Ok(())
}

async fn into_data_dir(
    file: File,
    bytes: u64,
    data_dir: &DataDir,
    force: bool,
) -> anyhow::Result<Option<PathBuf>> {
    if !data_dir.is_empty() && !force {
        let shown = data_dir.path().display();
        let message = format!("there is data in {shown}; --force replaces it, and keeps it beside");
        return Err(Usage(message).into());
    }
    let making = data_dir.begin_restore()?;
    let progress = Progress::of("restoring", bytes);
    let at = move |bytes| progress.at(bytes);
    backup::restore_sqlite(file, &making, at).await.context("nothing was replaced")?;
    data_dir.commit_restore()
}

async fn into_postgres(
    file: File,
    bytes: u64,
    data_dir: &DataDir,
    url: &str,
    force: bool,
) -> anyhow::Result<()> {
    let files = data_dir.path().join("files");
    let progress = Progress::of("restoring", bytes);
    let at = move |bytes| progress.at(bytes);
    match backup::restore_postgres(file, url, &files, force, at).await {
        Ok(_) => Ok(()),
        Err(Error::NotEmpty) => {
            let message = "there are apps or users in the database; --force replaces all of it";
            Err(Usage(message.to_owned()).into())
        }
        Err(error) => Err(error).context("nothing was replaced"),
    }
}

/// What to say about the key that the backup's secrets are sealed with, if the
/// server has not got it.
fn master_key(
    config: &ServerConfig,
    data_dir: &DataDir,
    head: &Head,
    end: &End,
) -> anyhow::Result<Option<String>> {
    let key = match config.master_key {
        Some(key) => Some(key),
        None if data_dir.has_master_key() => Some(data_dir.master_key()?),
        None => None,
    };
    if key.is_some_and(|key| Vault::new(&key).fingerprint() == head.master_key) {
        return Ok(None);
    }
    let secrets = end.rows.get("secrets").copied().unwrap_or_default();
    Ok(Some(format!(
        "the server does not start before it has the master key of the one that was backed up, \
         which {secrets} secrets are sealed with: put it into {}",
        data_dir.path().join(MASTER_KEY_FILE).display()
    )))
}

/// Standard input in a file that has no name: it is read twice.
pub(super) fn spooled() -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut io::stdin().lock(), &mut file)?;
    Ok(file)
}
