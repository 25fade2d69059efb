//! Definitions for editors: what Rhai's language server reads, in the form in
//! which Rhai itself writes a "single file" (`Engine::definitions`).

use std::fmt::Write as _;

use picloud_guest::sdk::Registration;
use picloud_guest::sdk::register::{Kind, Parameter};

use super::{Namespace, namespaces, variable};

/// Words that are no names to the language server.
#[rustfmt::skip]
const KEYWORDS: &[&str] = &[
    "as", "async", "await", "break", "case", "catch", "const", "continue", "default", "do", "else",
    "exit", "export", "false", "fn", "for", "go", "goto", "if", "import", "in", "let", "loop",
    "match", "module", "new", "nil", "null", "package", "private", "protected", "public", "return",
    "spawn", "static", "super", "switch", "sync", "thread", "throw", "true", "try", "until", "use",
    "var", "void", "while", "with", "yield",
];

/// The definitions of everything. Functions are in the namespaces' modules;
/// methods, properties and the rest are known everywhere, as in Rhai.
pub fn of(namespaces: &[Namespace]) -> String {
    let mut text = "// What PiCloud's scripts can call, for Rhai's language server.\n\
         // Written by `just regen`.\n\
         module static;\n\n\
         /// The request, in a file that has no function for it.\nlet req: Request;\n"
        .to_owned();
    for namespace in namespaces {
        let all = || namespace.entries.iter().flat_map(|entry| &entry.overloads);
        let (functions, rest): (Vec<_>, Vec<_>) = all().partition(|one| one.kind == Kind::Function);
        if !functions.is_empty() {
            write!(text, "\n/// {}\nmodule {} {{\n", namespace.doc, namespace.name).unwrap();
            for one in functions {
                let definition = definition(one).replace('\n', "\n    ");
                writeln!(text, "    {definition}").unwrap();
            }
            text.push_str("}\n");
        }
        for one in rest {
            write!(text, "\n{}\n", definition(one)).unwrap();
        }
    }
    text
}

fn definition(one: &Registration) -> String {
    let get = if one.kind == Kind::Property { "get " } else { "" };
    let receiver = one.receiver.map(|of| {
        let word = of.rsplit(' ').next().unwrap_or(of);
        format!("{}: {}", variable(of), type_of(word))
    });
    let parameters: Vec<String> =
        receiver.into_iter().chain(one.parameters().into_iter().map(parameter)).collect();
    let returned = one
        .signature
        .rsplit_once(" -> ")
        .map_or_else(String::new, |(_, of)| format!(" -> {}", type_of(of)));
    format!("/// {}\nfn {get}{}({}){returned};", one.doc, one.name(), parameters.join(", "))
}

fn parameter(parameter: Parameter) -> String {
    let Parameter { name, of } = parameter;
    let of = of.map_or_else(|| "?".to_owned(), type_of);
    match name.chars().next() {
        Some('#') => format!("options: {}", type_of(name)),
        Some('|') => format!("function: {of}"),
        _ if KEYWORDS.contains(&name) => format!("{name}_: {of}"),
        _ => format!("{name}: {of}"),
    }
}

/// A type as definitions write it, of the word that signatures have.
fn type_of(word: &str) -> String {
    if let Some(fields) = word.strip_prefix("#{").and_then(|rest| rest.strip_suffix('}')) {
        let fields: Vec<String> = fields.split(", ").map(|field| format!("{field}: ?")).collect();
        return format!("#{{ {} }}", fields.join(", "));
    }
    match word {
        "value" => "?".to_owned(),
        "int" | "float" | "bool" => word.to_owned(),
        "function" => "FnPtr".to_owned(),
        "error" => "Map".to_owned(),
        // String, Map, Array, Blob, and the SDK's own: Collection.
        _ => word[..1].to_uppercase() + &word[1..],
    }
}

/// Reads a line of definitions as the language server's grammar has it.
struct Reader<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<&'a str>>,
    line: &'a str,
}

impl<'a> Reader<'a> {
    fn of(line: &'a str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let end = match first {
                '-' | '#' => 2,
                _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                _ => first.len_utf8(),
            };
            let (token, behind) = rest.split_at(end);
            tokens.push(token);
            rest = behind.trim_start();
        }
        Self { tokens: tokens.into_iter().peekable(), line }
    }

    fn take(&mut self, token: &str) -> bool {
        self.tokens.next_if_eq(&token).is_some()
    }

    #[track_caller]
    fn expect(&mut self, token: &str) {
        assert!(
            self.take(token),
            "{token} is missing before {:?}: {}",
            self.tokens.peek(),
            self.line
        );
    }

    #[track_caller]
    fn name(&mut self) {
        let name =
            self.tokens.next_if(|name| name.starts_with(is_word) && !KEYWORDS.contains(name));
        assert!(name.is_some(), "{:?} is no name: {}", self.tokens.peek(), self.line);
    }

    fn named_types(&mut self, end: &str) {
        while !self.take(end) {
            self.name();
            self.expect(":");
            self.of_type();
            if !self.take(",") {
                return self.expect(end);
            }
        }
    }

    fn of_type(&mut self) {
        if self.take("#{") {
            self.named_types("}");
        } else if !self.take("?") {
            self.name();
        }
    }

    fn definition(&mut self) {
        if self.take("let") {
            self.name();
            self.expect(":");
            self.of_type();
        } else {
            self.expect("fn");
            self.name();
            // The first was the `get` of a property.
            if self.tokens.peek() != Some(&"(") {
                self.name();
            }
            self.expect("(");
            self.named_types(")");
            if self.take("->") {
                self.of_type();
            }
        }
        self.expect(";");
        assert_eq!(self.tokens.next(), None, "{}", self.line);
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[test]
fn definitions_are_what_the_language_server_reads() {
    let text = of(&namespaces());
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    assert_eq!(lines.next(), Some("module static;"));
    let mut is_inside = false;
    let mut definitions = 0;
    for line in lines.filter(|line| !line.is_empty()) {
        if let Some(module) = line.strip_prefix("module ") {
            let mut reader = Reader::of(module);
            reader.name();
            reader.expect("{");
            assert!(!std::mem::replace(&mut is_inside, true), "{line}");
        } else if line == "}" {
            assert!(std::mem::replace(&mut is_inside, false), "{line}");
        } else {
            Reader::of(line).definition();
            definitions += 1;
        }
    }
    let entries = namespaces().into_iter().flat_map(|namespace| namespace.entries);
    let registered: usize = entries.map(|entry| entry.overloads.len()).sum();
    assert_eq!(definitions, registered + 1, "one for each registration, and req");
    assert!(!is_inside);
}
