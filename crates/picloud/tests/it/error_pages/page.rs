//! A page of `docs/errors/`, read.

use std::path::{Path, PathBuf};

/// `# code`, a summary, where it is met, an example, and what to do.
pub struct Page {
    pub code: String,
    pub text: String,
    /// The first paragraph.
    pub summary: String,
    /// The blocks of code under `## Example`.
    pub example: Vec<Block>,
}

/// A block of code.
pub struct Block {
    /// What stands behind the fence: `rhai lib/a.rhai`.
    info: String,
    text: String,
}

/// A request as a block has it.
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: String,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")
}

/// Every page, in the order of the codes.
pub fn all() -> Vec<Page> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut codes: Vec<String> = entries.map(stem).filter(|stem| stem != "README").collect();
    codes.sort();
    codes.into_iter().map(Page::read).collect()
}

impl Page {
    fn read(code: String) -> Self {
        let text = std::fs::read_to_string(folder().join(format!("{code}.md"))).unwrap();
        let (before, rest) = split(&text, "\n## Example\n", &code);
        let (example, to_do) = split(rest, "\n## What to do\n", &code);
        assert!(!to_do.trim().is_empty(), "{code} says what to do");
        let paragraphs: Vec<&str> = before.trim_end().split("\n\n").collect();
        let [title, summary, place] = paragraphs.as_slice() else {
            panic!("{code} has a title, a summary, and where it is met");
        };
        assert_eq!(*title, format!("# {code}"));
        assert!(place.starts_with("**Where:** "), "{code} says where it is met");
        let (summary, example) = ((*summary).to_owned(), blocks(example));
        Self { code, text, summary, example }
    }
}

fn split<'a>(text: &'a str, heading: &str, code: &str) -> (&'a str, &'a str) {
    text.split_once(heading).unwrap_or_else(|| panic!("{code} has no {}", heading.trim()))
}

fn blocks(text: &str) -> Vec<Block> {
    let fenced = text.split("```").skip(1).step_by(2);
    let block = |fenced: &str| {
        let (info, text) = fenced.split_once('\n').unwrap();
        Block { info: info.to_owned(), text: text.to_owned() }
    };
    fenced.map(block).collect()
}

impl Block {
    /// The path and the text of a file to deploy. What a block does not name is
    /// called as usual.
    pub fn as_file(&self) -> Option<(&str, &str)> {
        let path = match self.info.split_once(' ') {
            Some((_, path)) => path,
            None => match self.info.as_str() {
                "rhai" => "index.rhai",
                "toml" => "picloud.toml",
                _ => return None,
            },
        };
        Some((path, &self.text))
    }

    /// The request of a block of `http`.
    pub fn as_request(&self) -> Option<Request> {
        if self.info != "http" {
            return None;
        }
        let (head, body) = self.text.split_once("\n\n").unwrap_or((&self.text, ""));
        let mut lines = head.lines();
        let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_lowercase(), value.to_owned())
        };
        Some(Request {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: lines.map(header).collect(),
            body: body.trim_end().to_owned(),
        })
    }
}

impl Request {
    pub fn headers(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Whether it is one for the API that shows no token of its own.
    pub fn wants_token(&self) -> bool {
        self.path.starts_with("/api/")
            && !self.headers.iter().any(|(name, _)| name == "authorization")
    }
}
