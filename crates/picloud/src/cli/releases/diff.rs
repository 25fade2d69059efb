//! `picloud releases diff`: what is different between two releases.

use clap::Args;
use picloud_shared::ReleaseNumber;

use crate::cli::Global;
use crate::cli::text::{self, ADDED, BOLD, DIM, LINK, REMOVED};
use crate::client::{Diff, FileDiff, ManifestDiff, Route};

/// Show what is different between two releases
///
/// With one number: what would change if that release became the active one.
///
/// Files come first, then what they amount to: routes, hosts that scripts may
/// call, what is asked of requests, limits, settings. At the end come the texts, as a patch. Files over
/// 256 KiB and those that are no text are told by their sizes alone.
#[derive(Args)]
#[command(allow_missing_positional = true)]
#[command(after_help = "\
Examples:
  picloud releases diff 3 4 --app guestbook
  picloud releases diff 3 --app guestbook       before a rollback to 3
  picloud releases diff 3 4 --stat              without the texts")]
pub struct DiffArgs {
    /// The release to start from [default: the active one]
    #[arg(value_parser = super::parse_number)]
    from: Option<ReleaseNumber>,

    /// The release to arrive at
    #[arg(value_parser = super::parse_number)]
    to: ReleaseNumber,

    /// Leave the texts out
    #[arg(long)]
    stat: bool,
}

pub async fn run(args: DiffArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    let mut diff = client.diff(&app, args.from, args.to).await?;
    if args.stat {
        diff.files.iter_mut().for_each(|file| file.diff = None);
    }
    output.result(&diff, shown)?;
    Ok(())
}

/// The difference for people.
fn shown(diff: &Diff) -> String {
    let Diff { from, to, files, manifest } = diff;
    let mut parts = vec![format!("{BOLD}release {from} → {to}{BOLD:#}"), files_text(files)];
    match manifest {
        Some(manifest) => parts.extend(meaning(manifest)),
        None => parts.push(format!(
            "{DIM}one of them does not follow the rules of this version: routes, hosts, limits \
             and settings are not compared{DIM:#}"
        )),
    }
    parts.extend(files.iter().filter_map(|file| file.diff.as_deref()).map(patch));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// The files, and how much they are together.
fn files_text(files: &[FileDiff]) -> String {
    if files.is_empty() {
        return "their files are the same".to_owned();
    }
    let rows: Vec<_> = files.iter().map(row).collect();
    let sum = |lines: fn(&FileDiff) -> Option<u64>| files.iter().filter_map(lines).sum::<u64>();
    format!(
        "{}\n{}, {} added, {} removed",
        text::table(&["FILE", "", "SIZE", "LINES"], &rows),
        counted(files.len() as u64, "file"),
        counted(sum(|file| file.added_lines), "line"),
        text::number(sum(|file| file.removed_lines)),
    )
}

fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", text::number(number), if number == 1 { "" } else { "s" })
}

fn row(file: &FileDiff) -> Vec<String> {
    let size = match (file.from_bytes, file.to_bytes) {
        (Some(from), Some(to)) => format!("{} → {}", text::bytes(from), text::bytes(to)),
        (Some(bytes), None) | (None, Some(bytes)) => text::bytes(bytes),
        (None, None) => String::new(),
    };
    let lines = match (file.added_lines, file.removed_lines) {
        (Some(added), Some(removed)) => format!("+{added} -{removed}"),
        _ => match file.omitted.as_deref() {
            Some("binary") => "no text".to_owned(),
            Some("too_large") => "too large".to_owned(),
            Some(_) => "not compared".to_owned(),
            None => String::new(),
        },
    };
    vec![file.path.clone(), file.change.clone(), size, lines]
}

/// What the files amount to, a heading and lines for each that is different.
fn meaning(diff: &ManifestDiff) -> Vec<String> {
    let route = |route: &Route| {
        let methods = route.methods.join(",");
        let methods = if methods.is_empty() { "any" } else { &methods };
        format!("{methods}  {}  {}", route.path, route.handler)
    };
    let routes = |routes: &[Route]| routes.iter().map(route).collect::<Vec<_>>();
    let limit = |limit: Option<u64>| limit.map_or_else(|| "the app's".to_owned(), text::number);
    let limits = diff.limits.iter();
    let limits = limits.map(|l| format!("{}: {} → {}", l.name, limit(l.from), limit(l.to)));
    [
        section("Routes", &routes(&diff.routes.added), &routes(&diff.routes.removed), &[]),
        section("Hosts that scripts may call", &diff.egress.added, &diff.egress.removed, &[]),
        section("Requests and answers", &diff.ingress.added, &diff.ingress.removed, &[]),
        section("Limits", &[], &[], &limits.collect::<Vec<_>>()),
        section("Settings", &diff.config.added, &diff.config.removed, &diff.config.changed),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn section(
    heading: &str,
    added: &[String],
    removed: &[String],
    changed: &[String],
) -> Option<String> {
    let added = added.iter().map(|line| format!("{ADDED}+ {}{ADDED:#}", text::line(line)));
    let removed = removed.iter().map(|line| format!("{REMOVED}- {}{REMOVED:#}", text::line(line)));
    let changed = changed.iter().map(|line| format!("~ {}", text::line(line)));
    let lines: Vec<String> = added.chain(removed).chain(changed).collect();
    (!lines.is_empty()).then(|| format!("{BOLD}{heading}{BOLD:#}\n{}", lines.join("\n")))
}

/// A unified diff in colours.
fn patch(diff: &str) -> String {
    let line = |line: &str| {
        let shown = text::harmless(line);
        match line.as_bytes() {
            [b'-', b'-', b'-', b' ', ..] | [b'+', b'+', b'+', b' ', ..] => {
                format!("{BOLD}{shown}{BOLD:#}")
            }
            [b'@', ..] => format!("{LINK}{shown}{LINK:#}"),
            [b'+', ..] => format!("{ADDED}{shown}{ADDED:#}"),
            [b'-', ..] => format!("{REMOVED}{shown}{REMOVED:#}"),
            [b'\\', ..] => format!("{DIM}{shown}{DIM:#}"),
            _ => shown.into_owned(),
        }
    };
    diff.split_terminator('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain(diff: serde_json::Value) -> String {
        let shown = shown(&serde_json::from_value(diff).unwrap());
        anstream::adapter::strip_str(&shown).to_string()
    }

    #[test]
    fn files_come_first_then_what_they_mean_then_the_texts() {
        let shown = plain(json!({
            "from": 3,
            "to": 4,
            "files": [
                {
                    "path": "index.rhai", "change": "changed", "from_bytes": 2, "to_bytes": 1536,
                    "added_lines": 1, "removed_lines": 1,
                    "diff": "--- a/index.rhai\n+++ b/index.rhai\n@@ -1 +1 @@\n-1\n+\u{1b}[2J\n",
                },
                { "path": "logo.png", "change": "added", "to_bytes": 70000, "omitted": "binary" },
                { "path": "x.js", "change": "removed", "from_bytes": 7, "omitted": "whatever" },
            ],
            "manifest": {
                "routes": {
                    "added": [{ "methods": ["GET", "PUT"], "path": "/x", "handler": "x.rhai#a" }],
                    "removed": [{ "methods": [], "path": "/x", "handler": "x.rhai" }],
                },
                "egress": { "added": ["api.example.org"], "removed": [] },
                "ingress": { "added": ["/: token (T)"], "removed": ["no header x-a"] },
                "limits": [{ "name": "fuel", "from": null, "to": 1000 }],
                "config": { "added": ["A"], "removed": ["B"], "changed": ["C"] },
            },
        }));
        assert_eq!(
            shown,
            "release 3 → 4\n\n\
             FILE                 SIZE           LINES\n\
             index.rhai  changed  2 B → 1.5 KiB  +1 -1\n\
             logo.png    added    68.4 KiB       no text\n\
             x.js        removed  7 B            not compared\n\
             3 files, 1 line added, 1 removed\n\n\
             Routes\n+ GET,PUT  /x  x.rhai#a\n- any  /x  x.rhai\n\n\
             Hosts that scripts may call\n+ api.example.org\n\n\
             Requests and answers\n+ /: token (T)\n- no header x-a\n\n\
             Limits\n~ fuel: the app's → 1,000\n\n\
             Settings\n+ A\n- B\n~ C\n\n\
             --- a/index.rhai\n+++ b/index.rhai\n@@ -1 +1 @@\n-1\n+\\u{1b}[2J"
        );
    }

    #[test]
    fn what_is_the_same_is_said_in_a_line() {
        let none = json!({ "added": [], "removed": [], "changed": [] });
        let manifest = json!({ "routes": none, "egress": none, "limits": [], "config": none });
        let same = json!({ "from": 3, "to": 3, "files": [], "manifest": manifest });
        assert_eq!(plain(same), "release 3 → 3\n\ntheir files are the same");
        let broken = plain(json!({ "from": 1, "to": 2, "files": [], "manifest": null }));
        assert!(broken.contains("does not follow the rules"), "{broken}");
    }

    #[test]
    fn lines_of_a_patch_are_coloured_by_what_they_do() {
        let coloured = patch("--- a/x\n+++ b/x\n@@ -1 +1 @@\n same\n-old\n+new\n\\ No newline\n");
        let lines: Vec<&str> = coloured.lines().collect();
        let line = |style: anstyle::Style, text: &str| format!("{style}{text}{style:#}");
        assert_eq!(lines[0], line(BOLD, "--- a/x"));
        assert_eq!(lines[2], line(LINK, "@@ -1 +1 @@"));
        assert_eq!(lines[3], " same");
        assert_eq!(lines[4], line(REMOVED, "-old"));
        assert_eq!(lines[5], line(ADDED, "+new"));
        assert_eq!(lines[6], line(DIM, "\\ No newline"));
    }
}
