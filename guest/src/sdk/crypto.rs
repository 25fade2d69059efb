//! `crypto::`: digests, signatures, tokens that are signed, passwords.

mod jwt;
mod password;

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use rhai::{Dynamic, Map};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::data::Data;
use super::options::Options;
use super::{Namespace, Registrar, Result, Shared, base64 as text, throw};

pub use password::Error;

pub(super) const NAMESPACE: Namespace = Namespace {
    name: "crypto",
    doc: "Digests, signatures, signed tokens and passwords.",
    register,
};

/// What a digest is written in.
#[derive(Clone, Copy)]
enum Encoding {
    Hex,
    Base64,
    Base64Url,
    Bytes,
}

fn register(to: &mut Registrar<'_>, context: &Shared) {
    register_digests(to);
    register_macs(to);
    to.function(
        "equal(a, b) -> bool",
        "Whether two strings or blobs are equal, in a time that does not tell where they differ: \
         for comparing secrets and signatures. `()` is equal to nothing.",
        equal,
    );
    jwt::register(to, context);
    password::register(to, context);
}

fn register_digests(to: &mut Registrar<'_>) {
    macro_rules! digest {
        ($name:literal, $digest:ty, $doc:literal) => {
            to.function(
                concat!($name, "(data) -> string"),
                concat!($doc, ", as hexadecimal digits in lower case."),
                |data: Dynamic| -> Result<Dynamic> {
                    let data = Data::of(concat!("crypto::", $name), "data", data)?;
                    Ok(Encoding::Hex.write(&<$digest>::digest(&*data)))
                },
            );
            to.function(
                concat!($name, "(data, #{encoding}) -> string"),
                concat!(
                    $doc,
                    ", as `encoding`: \"hex\", \"base64\", \"base64url\" or \"bytes\", a \
                         blob."
                ),
                |data: Dynamic, options: Map| -> Result<Dynamic> {
                    let data = Data::of(concat!("crypto::", $name), "data", data)?;
                    Ok(Encoding::of(options)?.write(&<$digest>::digest(&*data)))
                },
            );
        };
    }
    digest!("sha256", Sha256, "The SHA-256 digest of the data");
    digest!("sha512", Sha512, "The SHA-512 digest of the data");
}

fn register_macs(to: &mut Registrar<'_>) {
    macro_rules! mac {
        ($name:literal, $mac:ty, $doc:literal) => {
            to.function(
                concat!($name, "(key, data) -> string"),
                concat!($doc, ", as hexadecimal digits in lower case."),
                |key: Dynamic, data: Dynamic| -> Result<Dynamic> {
                    let key = Data::of(concat!("crypto::", $name), "key", key)?;
                    let data = Data::of(concat!("crypto::", $name), "data", data)?;
                    Ok(Encoding::Hex.write(&keyed::<$mac>(&key, &data)?.finalize().into_bytes()))
                },
            );
            to.function(
                concat!($name, "(key, data, #{encoding}) -> string"),
                concat!(
                    $doc,
                    ", as `encoding`: \"hex\", \"base64\", \"base64url\" or \"bytes\", a \
                         blob."
                ),
                |key: Dynamic, data: Dynamic, options: Map| -> Result<Dynamic> {
                    let key = Data::of(concat!("crypto::", $name), "key", key)?;
                    let data = Data::of(concat!("crypto::", $name), "data", data)?;
                    let mac = keyed::<$mac>(&key, &data)?.finalize().into_bytes();
                    Ok(Encoding::of(options)?.write(&mac))
                },
            );
        };
    }
    mac!("hmac_sha256", Hmac<Sha256>, "The data's signature (HMAC with SHA-256) by the key");
    mac!("hmac_sha512", Hmac<Sha512>, "The data's signature (HMAC with SHA-512) by the key");
}

/// The data under the key, to be finished or compared.
fn keyed<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Result<M> {
    if key.is_empty() {
        return Err(throw("crypto", "invalid_key", "an empty key keeps nothing secret"));
    }
    let mac = <M as KeyInit>::new_from_slice(key);
    let mac = mac.map_err(|error| throw("crypto", "invalid_key", error.to_string()))?;
    Ok(mac.chain_update(data))
}

fn equal(a: Dynamic, b: Dynamic) -> Result<bool> {
    if a.is_unit() || b.is_unit() {
        return Ok(false);
    }
    let a = Data::of("crypto::equal", "a", a)?;
    let b = Data::of("crypto::equal", "b", b)?;
    Ok(a.ct_eq(&b).into())
}

impl Encoding {
    fn of(options: Map) -> Result<Self> {
        let encoding = Options::new("crypto", options, &["encoding"])?.string("encoding")?;
        match encoding.as_deref() {
            None | Some("hex") => Ok(Self::Hex),
            Some("base64") => Ok(Self::Base64),
            Some("base64url") => Ok(Self::Base64Url),
            Some("bytes") => Ok(Self::Bytes),
            Some(other) => {
                let message = format!(
                    "option \"encoding\" takes \"hex\", \"base64\", \"base64url\" or \"bytes\", \
                     not \"{other}\""
                );
                Err(throw("crypto", "invalid_option", message))
            }
        }
    }

    fn write(self, bytes: &[u8]) -> Dynamic {
        match self {
            Self::Hex => hex::encode(bytes).into(),
            Self::Base64 => text::STANDARD.encode(bytes).into(),
            Self::Base64Url => text::URL_SAFE.encode(bytes).into(),
            Self::Bytes => Dynamic::from_blob(bytes.to_vec()),
        }
    }
}
