//! An invocation's secrets: opened when they are asked for, and kept out of
//! what is recorded.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use picloud_shared::secrets::{Error, Name, SecretStore, Secrets};
use picloud_shared::{AppId, StoreError, Vault};

/// A shorter value is not taken out of texts: it would be found everywhere,
/// and hiding it hides nothing.
const MIN_REDACTED_BYTES: usize = 4;

/// One invocation's secrets, bound to its app.
pub(crate) struct AppSecrets {
    app: AppId,
    store: Arc<dyn SecretStore>,
    vault: Arc<Vault>,
    /// Those that the script has seen.
    opened: Mutex<Vec<(Name, String)>>,
}

impl AppSecrets {
    pub(crate) fn new(app: AppId, store: Arc<dyn SecretStore>, vault: Arc<Vault>) -> Self {
        Self { app, store, vault, opened: Mutex::default() }
    }

    /// Takes every secret that the script has seen out of a text. `in_json`
    /// says that the text is JSON, in which it may be written otherwise.
    pub(crate) fn redact(&self, text: &mut String, in_json: bool) {
        for (name, value) in &*self.opened.lock().unwrap_or_else(PoisonError::into_inner) {
            if value.len() < MIN_REDACTED_BYTES {
                continue;
            }
            let instead = format!("[secret {name}]");
            replace(text, value, &instead);
            if in_json {
                // A string of JSON, without its quotes.
                let json = serde_json::Value::from(value.as_str()).to_string();
                replace(text, json.trim_matches('"'), &instead);
            }
        }
    }

    fn remember(&self, name: Name, value: &str) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if !opened.iter().any(|(known, _)| *known == name) {
            opened.push((name, value.to_owned()));
            // A secret may hold another: the longer one is to be found first.
            opened.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        }
    }
}

fn replace(text: &mut String, value: &str, instead: &str) {
    if text.contains(value) {
        *text = text.replace(value, instead);
    }
}

#[async_trait]
impl Secrets for AppSecrets {
    async fn get(&self, name: &str) -> Result<Option<String>, Error> {
        let name: Name = name.parse()?;
        let sealed = self.store.get(self.app, &name).await.map_err(Error::Unavailable)?;
        let Some(sealed) = sealed else { return Ok(None) };
        let Some(value) = self.vault.open(self.app, &name, &sealed) else {
            let cause = format!("the secret {name} was sealed with another master key");
            return Err(Error::Unavailable(StoreError::unavailable(cause)));
        };
        self.remember(name, &value);
        Ok(Some(value))
    }
}
