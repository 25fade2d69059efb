//! JSON Web Tokens (RFC 7519), signed with a key that both sides know.
//!
//! Which algorithm signs is the script's to say and never the token's: a token
//! that names another one, `none` above all, is refused unread.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use rhai::{Dynamic, ImmutableString, Map};
use sha2::{Sha256, Sha384, Sha512};

use super::keyed;
use crate::sdk::data::Data;
use crate::sdk::options::Options;
use crate::sdk::{Registrar, Result, Shared, json, throw};

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Algorithm {
    #[default]
    Hs256,
    Hs384,
    Hs512,
}

/// What a token must be besides signed.
#[derive(Default)]
struct Expected {
    algorithm: Algorithm,
    leeway_s: u64,
    audience: Option<String>,
    issuer: Option<String>,
}

pub(super) fn register(to: &mut Registrar<'_>, context: &Shared) {
    to.function(
        "jwt_sign(claims, key) -> string",
        "A JSON Web Token with these claims, signed with HS256.",
        |claims: Map, key: Dynamic| -> Result<String> {
            let key = Data::of("crypto::jwt_sign", "key", key)?;
            sign(claims, &key, Algorithm::default(), Map::new())
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "jwt_sign(claims, key, #{algorithm, header, ttl}) -> string",
        "Signs with `algorithm`: \"HS256\", \"HS384\" or \"HS512\". `header` has further fields of \
         the token's header; with `ttl` the token expires after so many seconds.",
        move |claims: Map, key: Dynamic, options: Map| -> Result<String> {
            let key = Data::of("crypto::jwt_sign", "key", key)?;
            let mut options = Options::new("crypto", options, &["algorithm", "header", "ttl"])?;
            let algorithm = Algorithm::of(options.string("algorithm")?.as_deref())?;
            let header = options.map("header")?.unwrap_or_default();
            let claims = match options.positive("ttl")? {
                Some(ttl_s) => expiring(claims, now_s(&ctx)?, ttl_s)?,
                None => claims,
            };
            sign(claims, &key, algorithm, header)
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "jwt_verify(token, key) -> map",
        "The claims of a token that was signed with HS256 and this key and is in force; throws \
         `invalid_token`, `invalid_signature`, `token_expired` or `token_not_yet_valid`.",
        move |token: ImmutableString, key: Dynamic| -> Result<Map> {
            let key = Data::of("crypto::jwt_verify", "key", key)?;
            Expected::default().verify(&token, &key, now_s(&ctx)?)
        },
    );
    let ctx = Rc::clone(context);
    to.function(
        "jwt_verify(token, key, #{algorithm, leeway, audience, issuer}) -> map",
        "`algorithm` is the one that is accepted, \"HS256\" if not given; `leeway` is by how many \
         seconds clocks may differ. Throws `wrong_audience` and `wrong_issuer` unless the claims \
         `aud` and `iss` are as given.",
        move |token: ImmutableString, key: Dynamic, options: Map| -> Result<Map> {
            let key = Data::of("crypto::jwt_verify", "key", key)?;
            Expected::of(options)?.verify(&token, &key, now_s(&ctx)?)
        },
    );
}

fn now_s(context: &Shared) -> Result<i64> {
    Ok((context.invocation("crypto")?.now_ms / 1000).cast_signed())
}

impl Algorithm {
    fn of(name: Option<&str>) -> Result<Self> {
        match name {
            None => Ok(Self::default()),
            Some("HS256") => Ok(Self::Hs256),
            Some("HS384") => Ok(Self::Hs384),
            Some("HS512") => Ok(Self::Hs512),
            Some(other) => {
                let message = format!(
                    "option \"algorithm\" takes \"HS256\", \"HS384\" or \"HS512\", not \"{other}\""
                );
                Err(throw("crypto", "invalid_option", message))
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    fn sign(self, key: &[u8], text: &str) -> Result<String> {
        let text = text.as_bytes();
        Ok(match self {
            Self::Hs256 => encode(&keyed::<Hmac<Sha256>>(key, text)?.finalize().into_bytes()),
            Self::Hs384 => encode(&keyed::<Hmac<Sha384>>(key, text)?.finalize().into_bytes()),
            Self::Hs512 => encode(&keyed::<Hmac<Sha512>>(key, text)?.finalize().into_bytes()),
        })
    }

    /// Whether the signature is that of the text.
    fn verify(self, key: &[u8], text: &str, signature: &[u8]) -> Result<bool> {
        let text = text.as_bytes();
        let result = match self {
            Self::Hs256 => keyed::<Hmac<Sha256>>(key, text)?.verify_slice(signature),
            Self::Hs384 => keyed::<Hmac<Sha384>>(key, text)?.verify_slice(signature),
            Self::Hs512 => keyed::<Hmac<Sha512>>(key, text)?.verify_slice(signature),
        };
        Ok(result.is_ok())
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sign(claims: Map, key: &[u8], algorithm: Algorithm, mut header: Map) -> Result<String> {
    if header.contains_key("alg") {
        let message = "the algorithm is the option \"algorithm\", not a field of the header";
        return Err(throw("crypto", "invalid_option", message));
    }
    header.insert("alg".into(), algorithm.name().into());
    header.entry("typ".into()).or_insert_with(|| "JWT".into());
    let header = json::to_text("crypto", &header.into())?;
    let claims = json::to_text("crypto", &claims.into())?;
    let text = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let signature = algorithm.sign(key, &text)?;
    Ok(format!("{text}.{signature}"))
}

/// Claims with a time of issue and of expiry.
fn expiring(mut claims: Map, now_s: i64, ttl_s: u64) -> Result<Map> {
    if claims.contains_key("exp") {
        let message = "the claims say themselves when they expire: give either `exp` or `ttl`";
        return Err(throw("crypto", "invalid_option", message));
    }
    let exp = i64::try_from(ttl_s).unwrap_or(i64::MAX).saturating_add(now_s);
    claims.entry("iat".into()).or_insert_with(|| now_s.into());
    claims.insert("exp".into(), exp.into());
    Ok(claims)
}

impl Expected {
    fn of(options: Map) -> Result<Self> {
        let known = &["algorithm", "leeway", "audience", "issuer"];
        let mut options = Options::new("crypto", options, known)?;
        Ok(Self {
            algorithm: Algorithm::of(options.string("algorithm")?.as_deref())?,
            leeway_s: options.natural("leeway")?.unwrap_or(0),
            audience: options.string("audience")?,
            issuer: options.string("issuer")?,
        })
    }

    /// The token's claims.
    fn verify(&self, token: &str, key: &[u8], now_s: i64) -> Result<Map> {
        let (text, signature) = token.rsplit_once('.').ok_or_else(|| invalid(THREE_PARTS))?;
        let (header, claims) = text.split_once('.').ok_or_else(|| invalid(THREE_PARTS))?;
        let header = object(header, "header")?;
        let named = header.get("alg").and_then(|name| name.as_immutable_string_ref().ok());
        if named.as_deref().map(ImmutableString::as_str) != Some(self.algorithm.name()) {
            let expected = self.algorithm.name();
            return Err(invalid(&format!("it is not signed with {expected}")));
        }
        if header.contains_key("crit") {
            return Err(invalid("its header demands what is not known here (`crit`)"));
        }
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| invalid("its signature is not base64url"))?;
        if !self.algorithm.verify(key, text, &signature)? {
            let message = "the token was not signed with this key, or has been changed";
            return Err(throw("crypto", "invalid_signature", message));
        }
        let claims = object(claims, "claims")?;
        self.check(&claims, now_s)?;
        Ok(claims)
    }

    fn check(&self, claims: &Map, now_s: i64) -> Result<()> {
        let leeway_s = i64::try_from(self.leeway_s).unwrap_or(i64::MAX);
        if let Some(exp) = seconds(claims, "exp")?
            && now_s >= exp.saturating_add(leeway_s)
        {
            return Err(throw("crypto", "token_expired", "the token has expired"));
        }
        if let Some(nbf) = seconds(claims, "nbf")?
            && now_s.saturating_add(leeway_s) < nbf
        {
            return Err(throw("crypto", "token_not_yet_valid", "the token is not yet valid"));
        }
        if let Some(audience) = &self.audience
            && !names(claims.get("aud"), audience)
        {
            let message = format!("the token is not meant for \"{audience}\"");
            return Err(throw("crypto", "wrong_audience", message));
        }
        if let Some(issuer) = &self.issuer
            && !is(claims.get("iss"), issuer)
        {
            let message = format!("the token was not issued by \"{issuer}\"");
            return Err(throw("crypto", "wrong_issuer", message));
        }
        Ok(())
    }
}

const THREE_PARTS: &str = "it does not have three parts";

fn invalid(reason: &str) -> Box<rhai::EvalAltResult> {
    throw("crypto", "invalid_token", format!("not a token that is accepted: {reason}"))
}

/// A part of a token that is a JSON object.
fn object(part: &str, what: &str) -> Result<Map> {
    let malformed =
        || invalid(&format!("the part with its {what} is not a JSON object in base64url"));
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed())?;
    let value = json::parse("crypto", "invalid_token", &bytes).map_err(|_| malformed())?;
    value.try_cast().ok_or_else(malformed)
}

/// A claim that is a time, in seconds; a part of a second counts as none.
fn seconds(claims: &Map, name: &str) -> Result<Option<i64>> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    if let Ok(number) = value.as_int() {
        return Ok(Some(number));
    }
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
    match value.as_float() {
        Ok(number) => Ok(Some(number.floor() as i64)),
        Err(_) => Err(invalid(&format!("its claim `{name}` is not a number"))),
    }
}

fn is(claim: Option<&Dynamic>, expected: &str) -> bool {
    claim
        .and_then(|claim| claim.as_immutable_string_ref().ok())
        .is_some_and(|claim| claim.as_str() == expected)
}

/// Whether a claim is the text, or an array that has it.
fn names(claim: Option<&Dynamic>, expected: &str) -> bool {
    let in_array = || {
        let array = claim?.as_array_ref().ok()?;
        Some(array.iter().any(|one| is(Some(one), expected)))
    };
    is(claim, expected) || in_array().unwrap_or(false)
}
