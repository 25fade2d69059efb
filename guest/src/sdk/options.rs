//! Options: the map that a function takes as its last argument.

use rhai::{Array, Dynamic, Map};

use super::{Result, throw, type_name};

/// An options map whose every key is known.
pub(crate) struct Options {
    service: &'static str,
    map: Map,
}

impl Options {
    /// Takes a map, and throws `unknown_option` if it has a key that is not in
    /// `known`.
    pub(crate) fn new(
        service: &'static str,
        map: Map,
        known: &'static [&'static str],
    ) -> Result<Self> {
        if let Some(key) = map.keys().find(|key| !known.contains(&key.as_str())) {
            let hint = match nearest(key, known.iter().copied()) {
                Some(nearest) => format!("did you mean \"{nearest}\"?"),
                None => format!("it takes {}", known.join(", ")),
            };
            let message = format!("there is no option \"{key}\"; {hint}");
            return Err(throw(service, "unknown_option", message));
        }
        Ok(Self { service, map })
    }

    /// Takes an option out; `()` counts as not given.
    fn take(&mut self, key: &str) -> Option<Dynamic> {
        self.map.remove(key).filter(|value| !value.is_unit())
    }

    /// An option that takes anything.
    pub(crate) fn value(&mut self, key: &str) -> Option<Dynamic> {
        self.take(key)
    }

    pub(crate) fn map(&mut self, key: &str) -> Result<Option<Map>> {
        self.typed(key, "a map")
    }

    pub(crate) fn array(&mut self, key: &str) -> Result<Option<Array>> {
        self.typed(key, "an array")
    }

    fn typed<T: Clone + 'static>(&mut self, key: &str, wanted: &str) -> Result<Option<T>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match value.try_cast_result::<T>() {
            Ok(value) => Ok(Some(value)),
            Err(value) => Err(throw(
                self.service,
                "invalid_option",
                format!("option \"{key}\" takes {wanted}, not {}", type_name(&value)),
            )),
        }
    }

    pub(crate) fn string(&mut self, key: &str) -> Result<Option<String>> {
        let text = self.typed::<rhai::ImmutableString>(key, "a string")?;
        Ok(text.map(|text| text.as_str().to_owned()))
    }

    pub(crate) fn boolean(&mut self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false")
    }

    pub(crate) fn integer(&mut self, key: &str) -> Result<Option<i64>> {
        self.typed(key, "an integer")
    }

    /// An integer that must be 1 or more.
    pub(crate) fn positive(&mut self, key: &str) -> Result<Option<u64>> {
        self.at_least(1, key)
    }

    /// An integer that must be 0 or more.
    pub(crate) fn natural(&mut self, key: &str) -> Result<Option<u64>> {
        self.at_least(0, key)
    }

    fn at_least(&mut self, least: u64, key: &str) -> Result<Option<u64>> {
        let Some(number) = self.integer(key)? else { return Ok(None) };
        match u64::try_from(number) {
            Ok(number) if number >= least => Ok(Some(number)),
            _ => Err(throw(
                self.service,
                "invalid_option",
                format!("option \"{key}\" takes an integer of {least} or more, not {number}"),
            )),
        }
    }
}

/// The name that was probably meant, if one is near enough.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (edits, nearest) = known.map(|known| (distance(name, known), known)).min()?;
    (edits <= 2).then_some(nearest)
}

/// Edits that make one text of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.chars()) {
            let above = *cell;
            *cell = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            diagonal = above;
            left = *cell;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_edits() {
        for (a, b, edits) in
            [("ttl", "ttl", 0), ("ttls", "ttl", 1), ("", "abc", 3), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }
}
