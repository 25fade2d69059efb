//! The master key, and what is derived from it: keys for sealing secrets and
//! for signing URLs. What is sealed is useless without it.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::files::{Bucket, Path};
use crate::{AppId, secrets};

/// Bytes of a master key.
pub const KEY_BYTES: usize = 32;
/// Bytes of the random number that each sealed text begins with.
pub const NONCE_BYTES: usize = 24;

/// Holds the master key. It has no `Debug`, so that no log shows it.
pub struct Vault {
    secrets: XChaCha20Poly1305,
    urls: [u8; 64],
    fingerprint: String,
}

impl Vault {
    #[must_use]
    pub fn new(master_key: &[u8; KEY_BYTES]) -> Self {
        let master = Hkdf::new(None, master_key);
        Self {
            secrets: XChaCha20Poly1305::new(&Key::from(derive(&master, "picloud secrets"))),
            urls: derive(&master, "picloud urls of files"),
            fingerprint: hex::encode(derive::<16>(&master, "picloud fingerprint")),
        }
    }

    /// Tells one master key from another and nothing about it.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Seals a secret for its app and name: nowhere else does it open. `nonce`
    /// must be random.
    ///
    /// The result is the nonce, followed by XChaCha20-Poly1305's ciphertext and
    /// tag with app and name as associated data.
    #[must_use]
    pub fn seal(
        &self,
        app: AppId,
        name: &secrets::Name,
        value: &str,
        nonce: [u8; NONCE_BYTES],
    ) -> Vec<u8> {
        let payload = Payload { msg: value.as_bytes(), aad: &associated(app, name) };
        // Fails for texts of hundreds of gigabytes only.
        let sealed = self.secrets.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what [`Vault::seal`] made of a secret of this app and name; `None`
    /// for anything else.
    #[must_use]
    pub fn open(&self, app: AppId, name: &secrets::Name, sealed: &[u8]) -> Option<String> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: &associated(app, name) };
        let value = self.secrets.decrypt(&XNonce::from(*nonce), payload).ok()?;
        String::from_utf8(value).ok()
    }

    /// The signature of a URL at which a file can be downloaded until then, in
    /// hexadecimal digits. `expires_s` is Unix time in seconds.
    #[must_use]
    pub fn sign_url(&self, app: AppId, bucket: &Bucket, path: &Path, expires_s: u64) -> String {
        hex::encode(self.url_mac(app, bucket, path, expires_s).finalize().into_bytes())
    }

    /// Whether this is the URL's signature; compared in constant time.
    #[must_use]
    pub fn url_is_signed(
        &self,
        app: AppId,
        bucket: &Bucket,
        path: &Path,
        expires_s: u64,
        signature: &str,
    ) -> bool {
        let Ok(signature) = hex::decode(signature) else { return false };
        self.url_mac(app, bucket, path, expires_s).verify_slice(&signature).is_ok()
    }

    fn url_mac(&self, app: AppId, bucket: &Bucket, path: &Path, expires_s: u64) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&self.urls.into());
        mac.update(&app.0.to_be_bytes());
        mac.update(&expires_s.to_be_bytes());
        // A bucket has no slash, so where it ends is plain.
        mac.update(bucket.as_str().as_bytes());
        mac.update(b"/");
        mac.update(path.as_str().as_bytes());
        mac
    }
}

/// A key for one purpose.
fn derive<const BYTES: usize>(master: &Hkdf<Sha256>, purpose: &str) -> [u8; BYTES] {
    let mut key = [0; BYTES];
    // It fails for outputs of more than 255 hashes only.
    let derived = master.expand(purpose.as_bytes(), &mut key);
    debug_assert!(derived.is_ok());
    key
}

fn associated(app: AppId, name: &secrets::Name) -> Vec<u8> {
    [&app.0.to_be_bytes(), name.as_str().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppId = AppId(7);

    fn name(text: &str) -> secrets::Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_secret_opens_for_its_app_and_name_and_key_only() {
        let vault = Vault::new(&[1; 32]);
        let sealed = vault.seal(APP, &name("KEY"), "hunter2", [9; 24]);
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        assert_eq!(vault.open(APP, &name("KEY"), &sealed).as_deref(), Some("hunter2"));
        assert_eq!(vault.open(AppId(8), &name("KEY"), &sealed), None);
        assert_eq!(vault.open(APP, &name("KEY2"), &sealed), None);
        assert_eq!(Vault::new(&[2; 32]).open(APP, &name("KEY"), &sealed), None);
    }

    #[test]
    fn what_was_tampered_with_does_not_open() {
        let vault = Vault::new(&[1; 32]);
        let sealed = vault.seal(APP, &name("KEY"), "hunter2", [9; 24]);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(vault.open(APP, &name("KEY"), &changed), None, "byte {at}");
        }
        for length in 0..sealed.len() {
            assert_eq!(vault.open(APP, &name("KEY"), &sealed[..length]), None);
        }
    }

    #[test]
    fn a_fingerprint_is_the_keys_own() {
        assert_eq!(Vault::new(&[1; 32]).fingerprint(), Vault::new(&[1; 32]).fingerprint());
        assert_ne!(Vault::new(&[1; 32]).fingerprint(), Vault::new(&[2; 32]).fingerprint());
    }

    #[test]
    fn a_url_is_signed_for_one_file_of_one_app_until_one_moment() {
        let vault = Vault::new(&[1; 32]);
        let (bucket, path): (Bucket, Path) = ("b".parse().unwrap(), "p/q".parse().unwrap());
        let signature = vault.sign_url(APP, &bucket, &path, 100);
        let check = |app, bucket: &str, path: &str, expires, signature: &str| {
            let (bucket, path) = (bucket.parse().unwrap(), path.parse().unwrap());
            vault.url_is_signed(app, &bucket, &path, expires, signature)
        };
        assert!(check(APP, "b", "p/q", 100, &signature));
        assert!(!check(AppId(8), "b", "p/q", 100, &signature));
        assert!(!check(APP, "c", "p/q", 100, &signature));
        assert!(!check(APP, "b", "p/r", 100, &signature));
        assert!(!check(APP, "b", "p/q", 101, &signature));
        assert!(!check(APP, "b", "p/q", 100, ""));
        assert!(!check(APP, "b", "p/q", 100, &signature[..62]));
        assert!(!Vault::new(&[2; 32]).url_is_signed(APP, &bucket, &path, 100, &signature));
    }
}
