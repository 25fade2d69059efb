//! Every error code that the sources name.
//!
//! There is no list of codes to keep: a code is born where it is written. What is
//! read are tokens, not syntax trees, so that the inside of a macro is seen as
//! well. A code is a text
//!
//! - that is passed to a parameter named `code`: `throw("kv", "invalid_key", …)`,
//!   `Problem::new(404, "not_found", …)`. Whatever function has such a parameter,
//!   it is found by its definition,
//! - that is given to a field, a key or a variable named `code`, and
//! - in the body of a function named `code`.
//!
//! Where a function is passed something else than a text or a variable of this
//! kind, the test fails rather than miss a code. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenTree};

use super::tokens::{
    arguments, code_in, codes_among, each_level, group, has, has_at_top, is, is_self,
    parameters_of, parenthesized, text_of, without_tests,
};

/// What is found as well: the outcome of what went well, and the key under which
/// a thrown map has its code.
const NO_CODES: [&str; 2] = ["ok", "code"];

/// Codes, and the files that have them.
pub fn codes() -> BTreeMap<String, BTreeSet<String>> {
    let files: Vec<File> = rust_files().iter().map(|path| File::read(path)).collect();
    codes_of(&files)
}

fn codes_of(files: &[File]) -> BTreeMap<String, BTreeSet<String>> {
    let givens: Vec<Given> = files.iter().flat_map(File::functions_that_are_given_codes).collect();
    for (module, name) in [("sdk", "throw"), ("problem", "new")] {
        let is_known = |given: &Given| given.module == module && given.name == name;
        assert!(givens.iter().any(is_known), "{name} is not found in {givens:?}");
    }
    let mut codes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        for code in file.codes(&givens) {
            codes.entry(code).or_default().insert(file.path.clone());
        }
    }
    codes.retain(|code, _| !NO_CODES.contains(&code.as_str()));
    codes
}

/// A function with a parameter named `code` that is a text.
#[derive(Debug)]
struct Given {
    /// The file's name, as paths have it: `json` of `json::parse`.
    module: String,
    name: String,
    /// Which of the arguments it is.
    index: usize,
}

struct File {
    path: String,
    module: String,
    tokens: Vec<TokenTree>,
    /// The texts of each constant that look like codes.
    constants: BTreeMap<String, Vec<String>>,
}

impl File {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        Self::parse(path.strip_prefix(root()).unwrap(), &text)
    }

    fn parse(path: &Path, text: &str) -> Self {
        let tokens = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let tokens = without_tests(tokens);
        let constants = constants(&tokens);
        Self { path: path.display().to_string(), module, tokens, constants }
    }

    fn functions_that_are_given_codes(&self) -> Vec<Given> {
        let mut found = Vec::new();
        each_level(&self.tokens, &mut |tokens| {
            for (index, token) in tokens.iter().enumerate().filter(|(_, t)| is(t, "fn")) {
                let Some(name) = tokens.get(index + 1) else { continue };
                let Some(parameters) = tokens[index..].iter().find_map(parenthesized) else {
                    panic!("{}: {token} {name} takes nothing", self.path);
                };
                let parameters = parameters_of(&parameters).into_iter().filter(|p| !is_self(p));
                let is_code = |parameter: &Vec<TokenTree>| {
                    is(&parameter[0], "code") && text_of(parameter).contains("str")
                };
                if let Some(index) = parameters.collect::<Vec<_>>().iter().position(is_code) {
                    let (module, name) = (self.module.clone(), name.to_string());
                    found.push(Given { module, name, index });
                }
            }
        });
        found
    }

    fn codes(&self, givens: &[Given]) -> BTreeSet<String> {
        let mut codes = BTreeSet::new();
        each_level(&self.tokens, &mut |tokens| {
            for index in 0..tokens.len() {
                codes.extend(self.named_code(tokens, index));
                if let Some(argument) = self.given_code(tokens, index, givens) {
                    let texts = self.texts(&argument);
                    assert!(
                        !texts.is_empty() || argument.iter().any(|token| is(token, "code")),
                        "{}: no code can be read from `{}`: write it there, or in a variable or \
                         parameter named `code`",
                        self.path,
                        text_of(&argument)
                    );
                    codes.extend(texts);
                }
            }
        });
        codes
    }

    /// What is given to something named `code` that begins here.
    fn named_code(&self, tokens: &[TokenTree], index: usize) -> Vec<String> {
        let rest = &tokens[index + 1..];
        let until = |end: &str| rest.iter().position(|t| is(t, end)).unwrap_or(rest.len());
        let is_condition =
            index > 0 && ["if", "while", "&"].iter().any(|w| is(&tokens[index - 1], w));
        match &tokens[index] {
            token if is(token, "let") && !is_condition => {
                let statement = &rest[..until(";")];
                let equals = statement.iter().position(|t| is(t, "=")).unwrap_or(statement.len());
                let (pattern, value) = statement.split_at(equals);
                if has(pattern, "code") { self.texts(value) } else { Vec::new() }
            }
            token if is(token, "fn") && rest.first().is_some_and(|name| is(name, "code")) => {
                let body = rest.iter().find_map(|token| group(token, Delimiter::Brace));
                self.texts(&body.unwrap_or_default())
            }
            token if is(token, "code") || token.to_string() == "\"code\"" => {
                let is_value = rest.first().is_some_and(|t| is(t, ":"))
                    && !rest.get(1).is_some_and(|t| is(t, ":"));
                if is_value { self.texts(&rest[..until(",")]) } else { Vec::new() }
            }
            _ => Vec::new(),
        }
    }

    /// The argument that is a code, if a call that takes one begins here.
    fn given_code(
        &self,
        tokens: &[TokenTree],
        index: usize,
        givens: &[Given],
    ) -> Option<Vec<TokenTree>> {
        let called = parenthesized(tokens.get(index + 1)?)?;
        let name = tokens[index].to_string();
        let before = |back: usize| index.checked_sub(back).and_then(|at| tokens.get(at));
        if before(1).is_some_and(|token| is(token, "fn")) {
            return None;
        }
        let qualifier = before(1).filter(|t| is(t, ":")).and_then(|_| before(3));
        let qualifier = qualifier.map(|token| token.to_string().to_lowercase());
        let given = givens.iter().filter(|given| given.name == name).find(|given| {
            let is_here = given.module == self.module;
            match qualifier.as_deref() {
                Some("self") => is_here,
                Some("super" | "crate") => true,
                Some(qualifier) => qualifier == given.module,
                None => is_here || self.imports(&name),
            }
        })?;
        arguments(&called).into_iter().nth(given.index)
    }

    /// Whether a `use` brings the name here, and not merely something out of it.
    fn imports(&self, name: &str) -> bool {
        let uses = self.tokens.split(|token| is(token, ";"));
        uses.filter(|tokens| has_at_top(tokens, "use")).any(|tokens| {
            let mut found = false;
            each_level(tokens, &mut |tokens| {
                let is_path = |at: usize| tokens.get(at + 1).is_some_and(|token| is(token, ":"));
                found |= (0..tokens.len()).any(|at| is(&tokens[at], name) && !is_path(at));
            });
            found
        })
    }

    /// All texts that look like codes, and those of the constants that are named.
    fn texts(&self, tokens: &[TokenTree]) -> Vec<String> {
        let mut texts = Vec::new();
        each_level(tokens, &mut |tokens| {
            for token in tokens {
                match token {
                    TokenTree::Literal(literal) => texts.extend(code_in(&literal.to_string())),
                    TokenTree::Ident(name) => {
                        let constant = self.constants.get(&name.to_string());
                        texts.extend(constant.cloned().unwrap_or_default());
                    }
                    _ => {}
                }
            }
        });
        texts
    }
}

/// The constants of a file, and the texts in each that look like codes.
fn constants(tokens: &[TokenTree]) -> BTreeMap<String, Vec<String>> {
    let mut constants = BTreeMap::new();
    each_level(tokens, &mut |tokens| {
        for statement in tokens.split(|token| is(token, ";")) {
            let Some(at) = statement.iter().position(|token| is(token, "const")) else { continue };
            let Some(name) = statement.get(at + 1) else { continue };
            constants.insert(name.to_string(), codes_among(&statement[at..]));
        }
    });
    constants
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// The sources of every crate.
fn rust_files() -> Vec<PathBuf> {
    let crates = std::fs::read_dir(root().join("crates")).unwrap();
    let mut open: Vec<PathBuf> = crates.map(|entry| entry.unwrap().path().join("src")).collect();
    open.extend([root().join("guest/src"), root().join("host/src")]);
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The codes of a file, beside two in which functions that take them are defined.
fn codes_in(text: &str) -> Vec<String> {
    let sdk = "fn throw(service: &'static str, code: &'static str, message: impl Into<X<A, B>>) {}";
    let problem = "impl Problem { fn new(status: u16, code: impl Into<Cow<'static, str>>) {} }";
    let files = [("sdk.rs", sdk), ("problem.rs", problem), ("here.rs", text)];
    let files = files.map(|(path, text)| File::parse(Path::new(path), text));
    codes_of(&files).into_keys().collect()
}

#[test]
fn a_code_is_found_wherever_it_is_written() {
    for (text, expected) in [
        (r#"use super::throw; fn f() { throw("kv", "a", "b") }"#, &["a"][..]),
        (r#"use super::throw; m!(|x| { throw("kv", "a", format!("b")) });"#, &["a"]),
        (
            r#"use super::throw; fn f() { let (code, m) = match x { 1 => ("a", "B c"), _ => ("b", m) }; throw("kv", code, m) }"#,
            &["a", "b"],
        ),
        (
            r#"use super::throw; fn g(s: &str, code: &str) { throw(s, code, "m") } fn f() { g("kv", "a") }"#,
            &["a"],
        ),
        (r#"use super::throw; const A: &str = "a"; fn f() { throw("kv", A, "m") }"#, &["a"]),
        (
            r#"fn f() { super::throw("kv", "a", "m"); Problem::new(404, "b"); crate::sdk::throw("kv", "c", "m") }"#,
            &["a", "b", "c"],
        ),
        (
            r#"fn f() { E { code: Some("a".to_owned()), other: "b" }; json!({ "code": "c", "d": "e" }) }"#,
            &["a", "c"],
        ),
        (
            r#"fn code(&self) -> &str { match self { A => "a", B => self.0.map_or("b", C::code) } } fn name() { "c" }"#,
            &["a", "b"],
        ),
        (r#"#[cfg(test)] mod tests { fn code() { "a" } } fn code() { "b" }"#, &["b"]),
        // Another function of that name, and what is no code.
        (r#"fn throw(x: u8) {} fn f() { throw("kv", "a") } fn code() { "Not A Code" }"#, &[]),
    ] {
        assert_eq!(codes_in(text), expected, "{text}");
    }
}

#[test]
#[should_panic(expected = "no code can be read from `which`")]
fn a_code_that_cannot_be_read_is_not_passed_over() {
    codes_in(r#"use super::throw; fn f(which: &'static str) { throw("kv", which, "m") }"#);
}
