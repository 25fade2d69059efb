//! `picloud files`: what an app keeps in buckets.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;

use super::Global;
use super::text::{self, DIM, GOOD};
use crate::client::{Bucket, FileInfo, Page};

/// List, fetch and write an app's files
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud files list --app gallery
  picloud files list photos --prefix 2026/ --app gallery
  picloud files get photos 2026/cat.jpg --output cat.jpg --app gallery
  picloud files put photos 2026/cat.jpg cat.jpg --app gallery
  picloud files delete photos 2026/cat.jpg --app gallery")]
pub struct FilesArgs {
    #[command(subcommand)]
    command: FilesCommand,
}

#[derive(Subcommand)]
enum FilesCommand {
    /// List a bucket's files in the order of their paths, or the buckets
    #[command(after_help = "\
Examples:
  picloud files list
  picloud files list photos --prefix 2026/ --limit 1000")]
    List {
        /// The bucket's name [default: list the buckets]
        bucket: Option<String>,
        /// Only paths that start with this
        #[arg(long, requires = "bucket", value_name = "TEXT")]
        prefix: Option<String>,
        /// Only paths after this one
        #[arg(long, requires = "bucket", value_name = "PATH")]
        after: Option<String>,
        /// How many files
        #[arg(short = 'n', long, requires = "bucket", default_value = "100", value_name = "N")]
        limit: u32,
    },
    /// Write a file's contents to stdout, or to a file of this machine
    #[command(after_help = "Example:\n  picloud files get photos cat.jpg --output cat.jpg")]
    Get {
        /// The bucket's name
        bucket: String,
        /// The file's path
        path: String,
        /// Where to write it
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Write a file
    #[command(after_help = "Example:\n  picloud files put photos cat.jpg ./cat.jpg")]
    Put {
        /// The bucket's name
        bucket: String,
        /// The file's path
        path: String,
        /// The file of this machine that it is to be
        source: PathBuf,
        /// What it is [default: what the path's extension stands for]
        #[arg(long, value_name = "TYPE")]
        content_type: Option<String>,
    },
    /// Delete a file; fails if there is none
    #[command(after_help = "Example:\n  picloud files delete photos cat.jpg")]
    Delete {
        /// The bucket's name
        bucket: String,
        /// The file's path
        path: String,
    },
}

pub async fn run(args: FilesArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    match args.command {
        FilesCommand::List { bucket: None, .. } => {
            let buckets = client.buckets(&app).await?;
            if buckets.items.is_empty() {
                output.note(&format!("{app} has no files"));
            }
            output.result(&buckets, |buckets| bucket_table(&buckets.items))?;
        }
        FilesCommand::List { bucket: Some(bucket), prefix, after, limit } => {
            let page = Page { prefix, after, limit: Some(limit) };
            let files = client.files(&app, &bucket, &page).await?;
            output.result(&files, |files| file_table(&files.items))?;
            if let Some(next) = &files.next {
                output.note(&format!("{DIM}there are more: --after '{}'{DIM:#}", text::line(next)));
            }
        }
        FilesCommand::Get { bucket, path, output: target } => {
            let contents = client.file(&app, &bucket, &path).await?;
            match target {
                Some(target) => std::fs::write(&target, &contents)
                    .with_context(|| format!("cannot write {}", target.display()))?,
                None => std::io::stdout().write_all(&contents)?,
            }
        }
        FilesCommand::Put { bucket, path, source, content_type } => {
            let contents = std::fs::read(&source)
                .with_context(|| format!("cannot read {}", source.display()))?;
            let content_type = content_type.as_deref();
            let put = client.put_file(&app, &bucket, &path, contents.into(), content_type).await?;
            output.result(&put, |put| {
                let (path, size) = (text::line(&put.path), text::bytes(put.bytes));
                format!("{GOOD}put{GOOD:#} {path}  {DIM}{size}{DIM:#}")
            })?;
        }
        FilesCommand::Delete { bucket, path } => {
            client.delete_file(&app, &bucket, &path).await?;
            output.result(&json!({ "deleted": path }), |_| {
                format!("{GOOD}deleted{GOOD:#} {}", text::line(&path))
            })?;
        }
    }
    Ok(())
}

fn bucket_table(buckets: &[Bucket]) -> String {
    if buckets.is_empty() {
        return String::new();
    }
    let row = |one: &Bucket| vec![one.bucket.clone(), one.files.to_string()];
    text::table(&["BUCKET", "FILES"], &buckets.iter().map(row).collect::<Vec<_>>())
}

fn file_table(files: &[FileInfo]) -> String {
    if files.is_empty() {
        return String::new();
    }
    let row = |one: &FileInfo| {
        let (size, modified) = (text::bytes(one.bytes), text::time(one.modified_ms));
        vec![one.path.clone(), size, one.content_type.clone(), modified]
    };
    text::table(&["PATH", "SIZE", "TYPE", "MODIFIED"], &files.iter().map(row).collect::<Vec<_>>())
}
