//! Apps' secrets: written and listed here, read by their scripts alone.

use std::sync::Arc;

use picloud_shared::secrets::{Listed, MAX_SECRETS, MAX_VALUE_BYTES, Name, SecretStore};
use picloud_shared::{App, Clock, StoreError, Vault};

use crate::Error;

/// Seals what is written. What was written it never gives back.
pub struct SecretKeeper {
    store: Arc<dyn SecretStore>,
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
}

impl SecretKeeper {
    #[must_use]
    pub fn new(store: Arc<dyn SecretStore>, vault: Arc<Vault>, clock: Arc<dyn Clock>) -> Self {
        Self { store, vault, clock }
    }

    /// The app's secrets in the order of their names, without their values.
    pub async fn list(&self, app: &App) -> Result<Vec<Listed>, Error> {
        Ok(self.store.list(app.id).await?)
    }

    /// Writes a secret over whatever is there.
    pub async fn set(&self, app: &App, name: &Name, value: &str) -> Result<(), Error> {
        if value.is_empty() || value.len() > MAX_VALUE_BYTES {
            return Err(Error::InvalidSecret);
        }
        let sealed = self.vault.seal(app.id, name, value, rand::random());
        match self.store.set(app.id, name, &sealed, self.clock.now_ms()).await {
            Ok(()) => Ok(()),
            Err(StoreError::QuotaExceeded(_)) => Err(Error::TooManySecrets { max: MAX_SECRETS }),
            // The app was deleted meanwhile.
            Err(StoreError::Conflict) => Err(Error::AppNotFound(app.slug.clone())),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn delete(&self, app: &App, name: &Name) -> Result<(), Error> {
        if self.store.delete(app.id, name).await? {
            Ok(())
        } else {
            Err(Error::SecretNotFound(name.clone()))
        }
    }
}
