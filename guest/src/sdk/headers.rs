//! Headers of a request or of an answer: names in any case.

use std::rc::Rc;

use rhai::{Dynamic, Map};

use super::Registrar;

/// What scripts hold as `req.headers`.
#[derive(Clone)]
pub(crate) struct Headers(Rc<Vec<(String, String)>>);

pub(super) fn register(to: &mut Registrar<'_>) {
    to.value::<Headers>("headers")
        .register_indexer_get(|headers: &mut Headers, name: &str| headers.get(name));
    to.method(
        "to_map() -> map",
        "All headers, by names in lower case.",
        |headers: &mut Headers| headers.to_map(),
    );
}

impl Headers {
    pub(crate) fn new(lines: Vec<(String, String)>) -> Self {
        Self(Rc::new(lines))
    }

    /// The lines of one name, which is in lower case.
    pub(crate) fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, line)| line.as_str())
    }

    /// Lines of the same name are one value, as RFC 9110 joins them.
    pub(crate) fn get(&self, name: &str) -> Dynamic {
        let mut value: Option<String> = None;
        for (other, line) in self.0.iter() {
            if other.eq_ignore_ascii_case(name) {
                match &mut value {
                    Some(value) => {
                        value.push_str(separator(other));
                        value.push_str(line);
                    }
                    None => value = Some(line.clone()),
                }
            }
        }
        value.map_or(Dynamic::UNIT, Into::into)
    }

    pub(crate) fn to_map(&self) -> Map {
        self.0.iter().map(|(name, _)| (name.as_str().into(), self.get(name))).collect()
    }
}

fn separator(name: &str) -> &'static str {
    if name == "cookie" { "; " } else { ", " }
}
