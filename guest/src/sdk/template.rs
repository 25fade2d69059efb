//! `template::`: the app's files under `templates/`, filled with data.
//!
//! The files are parsed while the program is being loaded, so that they are part
//! of the memory image and a syntax error is found at deploy. The language is
//! Jinja's, as `minijinja` has it.
//!
//! What is absent is written like in scripts: `()` prints nothing. What is not
//! there at all is a mistake: printing a variable that the data lack is an error
//! that names it. Only a test (`if`, `is defined`, `default`) may ask for it.

mod value;

use std::error::Error as _;

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use rhai::{EvalAltResult, ImmutableString, Map};

use super::options::nearest;
use super::{Namespace, Registrar, Result, Shared, throw};
use crate::model::{Position, ScriptError};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "template", doc: "Pages of the app's templates.", register };

/// The folder whose files are templates.
const FOLDER: &str = "templates/";
/// What templates within templates may add up to, in the engine's own measure: an
/// include counts 10, a macro's call 4, a block or a loop 1. The blocks decide:
/// a hundred within one another, at 3.4 KiB each, leave room on the guest's stack.
const MAX_RECURSION: usize = 100;
/// Names that an error lists.
const LISTED: usize = 10;

fn register(to: &mut Registrar<'_>, context: &Shared) {
    let context = Shared::clone(context);
    to.function(
        "render(file, data) -> string",
        "The file of `templates/`, filled with the data; in `.html`, `.htm` and `.xml` what is \
         filled in is escaped. Throws `template_not_found`, `render_error`, or `invalid_value` \
         for data that are no text, number, truth, list or map.",
        move |file: ImmutableString, data: Map| -> Result<String> {
            match context.templates() {
                Some(templates) => templates.render(&file, &data),
                None => Err(not_found(&file, &[])),
            }
        },
    );
}

/// Whether the file of a program is a template.
pub(crate) fn is_template(path: &str) -> bool {
    path.starts_with(FOLDER)
}

/// The templates of a program that has some.
pub struct Templates(Environment<'static>);

impl Templates {
    /// Parses the files, whose paths are within the app; none if there are none:
    /// the engine's own tables are to be in no image that does without.
    pub(crate) fn parse(
        files: impl IntoIterator<Item = (String, String)>,
    ) -> std::result::Result<Option<Self>, Vec<ScriptError>> {
        let mut files = files.into_iter().peekable();
        if files.peek().is_none() {
            return Ok(None);
        }
        let mut environment = engine();
        let mut errors = Vec::new();
        for (path, text) in files {
            let name = name_of(&path).to_owned();
            if let Err(error) = environment.add_template_owned(name, text.clone()) {
                errors.push(syntax_error(path, &text, &error));
            }
        }
        if errors.is_empty() { Ok(Some(Self(environment))) } else { Err(errors) }
    }

    fn render(&self, file: &str, data: &Map) -> Result<String> {
        let Ok(template) = self.0.get_template(name_of(file)) else {
            let mut names: Vec<&str> = self.0.templates().map(|(name, _)| name).collect();
            names.sort_unstable();
            return Err(not_found(file, &names));
        };
        let data = value::of_map(data)?;
        template.render(data).map_err(|error| throw("template", "render_error", explain(&error)))
    }
}

fn engine() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_recursion_limit(MAX_RECURSION);
    // Errors then name the variable and the column. It costs only when one occurs.
    environment.set_debug(true);
    environment.set_auto_escape_callback(auto_escape);
    environment.set_path_join_callback(|name, _| name_of(name).into());
    environment.set_formatter(|out, state, value| match value.kind() {
        ValueKind::None => Ok(()),
        // The engine writes Python's words.
        ValueKind::Bool => Ok(out.write_str(if value.is_true() { "true" } else { "false" })?),
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment
}

/// A browser does not care how an extension is written.
fn auto_escape(name: &str) -> AutoEscape {
    minijinja::default_auto_escape_callback(&name.to_ascii_lowercase())
}

/// What the engine calls a template: its path within the folder.
fn name_of(path: &str) -> &str {
    path.strip_prefix(FOLDER).unwrap_or(path)
}

fn not_found(file: &str, names: &[&str]) -> Box<EvalAltResult> {
    let hint = match nearest(name_of(file), names.iter().copied()) {
        Some(nearest) => format!("did you mean \"{nearest}\"?"),
        None if names.is_empty() => "the app has no files under templates/".to_owned(),
        None => {
            let listed: Vec<&str> = names.iter().copied().take(LISTED).collect();
            let more = if names.len() > LISTED { " and others" } else { "" };
            format!("there are {}{more}", listed.join(", "))
        }
    };
    throw("template", "template_not_found", format!("there is no template \"{file}\"; {hint}"))
}

fn syntax_error(file: String, text: &str, error: &minijinja::Error) -> ScriptError {
    let before = error.range().and_then(|range| text.get(..range.start)).unwrap_or_default();
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    let position = Position {
        file,
        line: error.line().and_then(|line| u32::try_from(line).ok()).unwrap_or(1),
        column: u32::try_from(column).unwrap_or(u32::MAX),
    };
    ScriptError {
        message: error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned),
        position: Some(position),
        ..ScriptError::default()
    }
}

/// Where rendering failed, and why. The errors of includes and blocks wrap the
/// one that says so.
fn explain(error: &minijinja::Error) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source().and_then(<dyn std::error::Error>::downcast_ref) {
        innermost = inner;
    }
    let place = match (innermost.name(), innermost.line()) {
        (Some(name), Some(line)) => format!("{FOLDER}{name}:{line}: "),
        (Some(name), None) => format!("{FOLDER}{name}: "),
        _ => String::new(),
    };
    match innermost.detail() {
        Some(detail) => format!("{place}{}: {detail}", innermost.kind()),
        None => format!("{place}{}", innermost.kind()),
    }
}
