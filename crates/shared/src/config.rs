//! Settings of an app that are no secret: the manifest's `[config]`.

use std::collections::BTreeMap;

/// What a script sees of its app's settings.
pub trait Config: Send + Sync {
    /// The setting of that name as JSON; `None` if there is no such setting.
    fn get(&self, name: &str) -> Option<String>;
}

/// A release's settings: names, and values as JSON.
pub type Settings = BTreeMap<String, String>;

impl Config for Settings {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).cloned()
    }
}
