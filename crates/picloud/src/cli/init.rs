//! `picloud init`: a folder with a small working app.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use picloud_shared::AppSlug;
use serde_json::json;

use super::output::Usage;
use super::text::{BOLD, DIM, GOOD};
use super::{Global, app_name};

/// Make a folder with a small working app
///
/// Nothing that exists is written over.
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud init hello
  picloud init shop --template json-api && picloud dev shop")]
pub struct InitArgs {
    /// The folder to make; its name is the app's
    name: PathBuf,

    /// What to start from
    #[arg(short, long, value_enum, default_value_t = Template::Hello)]
    template: Template,
}

/// The examples of the repository, which are tested as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Template {
    /// One script that greets
    Hello,
    /// A form, a page, and entries that are kept
    Guestbook,
    /// Short links that are counted
    Shortlink,
    /// Reading and writing JSON, with path parameters and validation
    JsonApi,
    /// Counting without losing a count
    Counter,
    /// Pages from templates, and an author who logs in
    Blog,
    /// Photos, uploaded and shown by links
    Gallery,
    /// Signed deliveries, stored once and passed on
    Webhook,
    /// What another server says, asked for once in ten minutes
    WeatherCache,
}

/// The SDK as Rhai's language server reads it: in any folder of the app. This one
/// is hidden, so it is no part of what is deployed.
const DEFINITIONS: (&str, &str) =
    (".rhai/definitions/sdk.d.rhai", include_str!("../../../../docs/sdk/sdk.d.rhai"));

/// The files of an example, by their paths within it.
macro_rules! example {
    ($folder:literal: $($path:literal),*) => {
        &[$(($path, include_str!(concat!("../../../../examples/", $folder, "/", $path)))),*]
    };
}

impl Template {
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Hello => example!("hello": "index.rhai", "tests/hello.rhai"),
            Self::Guestbook => example!(
                "guestbook": "index.rhai", "public/style.css", "tests/guestbook.rhai"
            ),
            Self::Shortlink => example!(
                "shortlink": "index.rhai", "[code].rhai", "stats/[code].rhai",
                "tests/shortlink.rhai"
            ),
            Self::JsonApi => example!(
                "json-api": "lib/todos.rhai", "todos/index.rhai", "todos/[id].rhai",
                "tests/todos.rhai"
            ),
            Self::Counter => example!(
                "counter": "index.rhai", "[name].rhai", "tests/counter.rhai"
            ),
            Self::Blog => example!(
                "blog": "index.rhai", "write.rhai", "posts/[slug].rhai", "lib/posts.rhai",
                "lib/markup.rhai", "templates/base.html", "templates/index.html",
                "templates/post.html", "templates/write.html", "public/style.css",
                "tests/blog.rhai"
            ),
            Self::Gallery => example!(
                "gallery": "index.rhai", "photos/[name].rhai", "templates/gallery.html",
                "public/style.css", "public/upload.js", "tests/gallery.rhai"
            ),
            Self::Webhook => example!("webhook": "index.rhai", "tests/webhook.rhai"),
            Self::WeatherCache => example!("weather-cache": "index.rhai", "tests/weather.rhai"),
        }
    }

    /// What the example's manifest has below its name.
    fn manifest(self) -> &'static str {
        let manifest = match self {
            Self::Webhook => include_str!("../../../../examples/webhook/picloud.toml"),
            Self::WeatherCache => include_str!("../../../../examples/weather-cache/picloud.toml"),
            _ => return "",
        };
        manifest.split_once('\n').map_or("", |(_name, rest)| rest)
    }
}

pub fn run(args: &InitArgs, global: &Global) -> anyhow::Result<()> {
    let folder = &args.name;
    let name = folder.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let app: AppSlug = match &global.app {
        Some(app) => app.clone(),
        None => name.parse().map_err(|error: picloud_shared::id::InvalidSlug| {
            let meant = app_name::slug_of(&name).map(|slug| format!("; did you mean {slug}?"));
            Usage(format!("{error}{}", meant.unwrap_or_default()))
        })?,
    };
    let files = write(folder, &app, args.template)?;
    global.output().result(&json!({ "app": app, "files": files }), |_| {
        let folder = folder.display();
        let files = files.join("\n  ");
        format!(
            "{GOOD}made{GOOD:#} {BOLD}{folder}{BOLD:#}\n  {files}\n{DIM}next:{DIM:#} picloud dev {folder}"
        )
    })?;
    Ok(())
}

/// Writes the app, and tells its files' paths.
fn write(folder: &Path, app: &AppSlug, template: Template) -> anyhow::Result<Vec<String>> {
    let shown = folder.display();
    fs::create_dir_all(folder).with_context(|| format!("cannot make {shown}"))?;
    let is_empty = fs::read_dir(folder).with_context(|| format!("cannot read {shown}"))?.next();
    if is_empty.is_some() {
        bail!("{shown} is not empty; choose another name");
    }
    let manifest = format!(
        "# What the app says about itself beyond its files' names. All of it is optional.\n\
         name = \"{app}\"\n{}",
        template.manifest()
    );
    let own = [("picloud.toml", manifest.as_str()), (".gitignore", ".picloud/\n"), DEFINITIONS];
    let mut paths = Vec::new();
    for (path, contents) in own.iter().chain(template.files()) {
        let file = folder.join(path);
        let about = || format!("cannot write {}", file.display());
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).with_context(about)?;
        }
        let mut file = fs::File::create_new(&file).with_context(about)?;
        file.write_all(contents.as_bytes()).with_context(about)?;
        paths.push((*path).to_owned());
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use picloud_shared::Layout;

    use super::*;
    use crate::cli::folder;

    fn app() -> AppSlug {
        "my-app".parse().unwrap()
    }

    #[test]
    fn every_template_is_all_of_its_example_and_answers_something() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let target = tempfile::tempdir().unwrap();
        for template in Template::value_variants() {
            let name = template.to_possible_value().unwrap().get_name().to_owned();
            let made = target.path().join(&name);
            write(&made, &app(), *template).unwrap();
            let made = folder::read(&made).unwrap();

            let layout = Layout::of(&made).unwrap();
            assert_eq!(layout.manifest.name, Some(app()));
            let example = folder::read(&root.join(&name)).unwrap();
            let original = Layout::of(&example).unwrap().manifest;
            let renamed = picloud_shared::Manifest { name: Some(app()), ..original };
            assert_eq!(layout.manifest, renamed, "{name}");
            assert!(!layout.routes.routes.is_empty(), "{name}");

            let paths = |files: BTreeMap<String, _>| -> BTreeSet<String> {
                files.into_keys().filter(|p| p != "picloud.toml" && p != "README.md").collect()
            };
            assert_eq!(paths(made), paths(example), "{name}");
        }
    }

    #[test]
    fn definitions_for_editors_are_no_part_of_the_app() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &app(), Template::Hello).unwrap();
        let (path, definitions) = DEFINITIONS;
        assert_eq!(fs::read_to_string(folder.path().join(path)).unwrap(), definitions);
        assert!(definitions.contains("\nmodule kv {\n"));
        let deployed = folder::read(folder.path()).unwrap();
        assert!(deployed.contains_key("index.rhai") && !deployed.contains_key(path));
    }

    #[test]
    fn nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index.rhai"), "mine").unwrap();
        let error = write(folder.path(), &app(), Template::Hello).unwrap_err();
        assert!(error.to_string().contains("is not empty"), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join("index.rhai")).unwrap(), "mine");
        assert!(!folder.path().join("picloud.toml").exists());
    }
}
