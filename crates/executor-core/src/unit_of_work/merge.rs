//! Lists: what is stored, with the invocation's own changes put over it.

use std::collections::BTreeMap;

/// A page of at most `limit` items, and where the next one begins.
///
/// `stored` are the first items of a range in the order of their names, and
/// `more` says whether the range goes on after them. `changes` are the
/// invocation's in the same range and order; one without a value deletes.
pub(super) fn merge<'a, V>(
    stored: impl Iterator<Item = (String, V)>,
    more: bool,
    changes: impl Iterator<Item = (&'a str, Option<V>)>,
    limit: usize,
) -> (Vec<(String, V)>, Option<String>) {
    let mut merged: BTreeMap<String, Option<V>> =
        stored.map(|(name, value)| (name, Some(value))).collect();
    // What lies behind the stored items' end is not known, so the page ends
    // there too, even if that makes it a short one.
    let end = merged.keys().next_back().filter(|_| more).cloned();
    let mut added = 0;
    for (name, value) in changes {
        if end.as_deref().is_some_and(|end| name > end) || added > limit {
            break;
        }
        added += usize::from(value.is_some());
        merged.insert(name.to_owned(), value);
    }

    let mut live = merged.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let items: Vec<_> = live.by_ref().take(limit).collect();
    let next = match live.next() {
        Some(_) => items.last().map(|(name, _)| name.clone()),
        None => end,
    };
    (items, next)
}
