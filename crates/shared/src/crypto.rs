//! The part of cryptography that is too slow for a guest's fuel: passwords.

use async_trait::async_trait;

/// Bytes that a password may have.
pub const MAX_PASSWORD_BYTES: usize = 1_024;

/// Why a password function failed, from the script's point of view.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a password has 1 to {MAX_PASSWORD_BYTES} bytes")]
    InvalidPassword,
    #[error("this is no hash that crypto::password_hash makes")]
    InvalidHash,
    /// The host failed, never the script.
    #[error("the password could not be hashed: {0}")]
    Failed(String),
}

/// What a script can have the host compute.
#[async_trait]
pub trait Crypto: Send + Sync {
    /// A salted hash of the password in PHC string format.
    async fn password_hash(&self, password: String) -> Result<String, Error>;

    /// Whether the hash is one of this password.
    async fn password_verify(&self, password: String, hash: String) -> Result<bool, Error>;
}
