//! Passwords, hashed with Argon2id on threads of the host: a hash takes far
//! more memory and time than a guest has. These threads have a lower priority
//! than the others: whoever logs in waits for those who make requests.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use picloud_shared::crypto::{Crypto, Error, MAX_PASSWORD_BYTES};
use tokio::sync::{Semaphore, oneshot};

/// Hashes that are computed at one time, of all apps; each takes 19 MiB.
const AT_ONCE: usize = 2;
/// What a hash's thread adds to its niceness: beside a busy one of the server's
/// it gets a tenth of a core.
const NICENESS: i32 = 10;
/// A hash with higher parameters than these is not verified: they are a
/// script's to choose, and the memory and time are ours.
const MAX_MEMORY_KIB: u32 = 64 << 10;
const MAX_PASSES: u32 = 8;
const MAX_LANES: u32 = 4;

/// Hashes one password at a time, whatever apps have hashed.
#[must_use]
pub fn passwords() -> Arc<dyn Crypto> {
    Arc::new(AppPasswords::new(Passwords::default()))
}

/// The threads on which passwords are hashed, for all apps.
#[derive(Clone)]
pub(crate) struct Passwords(Arc<Semaphore>);

impl Default for Passwords {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// One app's share of them: a hash at a time, so that no app has them all.
pub(crate) struct AppPasswords {
    shared: Passwords,
    own: Arc<Semaphore>,
}

impl AppPasswords {
    pub(crate) fn new(shared: Passwords) -> Self {
        Self { shared, own: Arc::new(Semaphore::new(1)) }
    }

    /// Runs on a thread of its own when the app's turn has come, as a thread
    /// that has lowered its priority cannot raise it again. Work that nobody
    /// waits for any more ends before its turn is another's.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let failed = |error: &dyn std::error::Error| Error::Failed(error.to_string());
        let own = Arc::clone(&self.own).acquire_owned().await.map_err(|e| failed(&e))?;
        let shared = Arc::clone(&self.shared.0).acquire_owned().await.map_err(|e| failed(&e))?;
        let (answer, answered) = oneshot::channel();
        let work = move || {
            let _turns = (own, shared);
            // Where it is not allowed, the hash is made all the same.
            let _ = rustix::process::nice(NICENESS);
            let _ = answer.send(work());
        };
        let thread = std::thread::Builder::new().name("password".to_owned());
        thread.spawn(work).map_err(|e| failed(&e))?;
        answered.await.map_err(|e| failed(&e))?
    }
}

#[async_trait]
impl Crypto for AppPasswords {
    async fn password_hash(&self, password: String) -> Result<String, Error> {
        check(&password)?;
        self.compute(move || {
            let hash = argon2().hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|error| Error::Failed(error.to_string()))
        })
        .await
    }

    async fn password_verify(&self, password: String, hash: String) -> Result<bool, Error> {
        check(&password)?;
        affordable(&hash)?;
        self.compute(move || {
            let hash = PasswordHash::new(&hash).map_err(|_| Error::InvalidHash)?;
            match argon2().verify_password(password.as_bytes(), &hash) {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(_) => Err(Error::InvalidHash),
            }
        })
        .await
    }
}

/// Argon2id with the parameters that OWASP recommends, which are the crate's
/// defaults: 19 MiB, two passes, one lane.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

fn check(password: &str) -> Result<(), Error> {
    if (1..=MAX_PASSWORD_BYTES).contains(&password.len()) {
        Ok(())
    } else {
        Err(Error::InvalidPassword)
    }
}

fn affordable(hash: &str) -> Result<(), Error> {
    let hash = PasswordHash::new(hash).map_err(|_| Error::InvalidHash)?;
    let params = Params::try_from(&hash).map_err(|_| Error::InvalidHash)?;
    let is_affordable = hash.algorithm.as_str() == Algorithm::Argon2id.as_str()
        && params.m_cost() <= MAX_MEMORY_KIB
        && params.t_cost() <= MAX_PASSES
        && params.p_cost() <= MAX_LANES;
    if is_affordable { Ok(()) } else { Err(Error::InvalidHash) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_is_one_of_its_password_and_never_the_same_twice() {
        let passwords = AppPasswords::new(Passwords::default());
        let hash = passwords.password_hash("hunter2".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(passwords.password_hash("hunter2".into()).await.unwrap(), hash);
        assert!(passwords.password_verify("hunter2".into(), hash.clone()).await.unwrap());
        assert!(!passwords.password_verify("hunter3".into(), hash).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_no_password_or_no_hash_of_ours_is_refused() {
        let passwords = AppPasswords::new(Passwords::default());
        for password in [String::new(), "x".repeat(MAX_PASSWORD_BYTES + 1)] {
            let error = passwords.password_hash(password).await.unwrap_err();
            assert!(matches!(error, Error::InvalidPassword));
        }
        let own = passwords.password_hash("pw".into()).await.unwrap();
        for hash in [
            String::new(),
            "pw".into(),
            own.replace("argon2id", "argon2i"),
            own.replace("argon2id", "scrypt"),
            // Gigabytes, hours, a thousand threads.
            own.replace("m=19456", "m=4194304"),
            own.replace("t=2", "t=4000000000"),
            own.replace("p=1", "p=1000"),
        ] {
            let verified = passwords.password_verify("pw".into(), hash.clone()).await;
            assert!(matches!(verified, Err(Error::InvalidHash)), "{hash}: {verified:?}");
        }
    }
}
