//! `base64::`: bytes as text of 64 characters (RFC 4648).

use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine};
use rhai::{Blob, Dynamic, ImmutableString, Map};

use super::data::{Data, place, text};
use super::options::Options;
use super::{Namespace, Registrar, Result, Shared, throw};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "base64", doc: "Bytes as text of 64 characters.", register };

/// Padding may be there or not.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
/// With `+`, `/` and padding.
pub(super) const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
/// With `-`, `_` and no padding.
pub(super) const URL_SAFE: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT.with_encode_padding(false));

fn register(to: &mut Registrar<'_>, _: &Shared) {
    to.function(
        "encode(data) -> string",
        "A string or a blob in base64, with padding.",
        |data: Dynamic| -> Result<String> {
            Ok(STANDARD.encode(&*Data::of("base64::encode", "data", data)?))
        },
    );
    to.function(
        "encode(data, #{url_safe}) -> string",
        "With `url_safe: true`, in the alphabet that needs no escaping in URLs and file names, \
         without padding.",
        |data: Dynamic, options: Map| -> Result<String> {
            let data = Data::of("base64::encode", "data", data)?;
            let url_safe = Options::new("base64", options, &["url_safe"])?.boolean("url_safe")?;
            let engine = if url_safe.unwrap_or(false) { URL_SAFE } else { STANDARD };
            Ok(engine.encode(&*data))
        },
    );
    to.function(
        "decode(text) -> blob",
        "The bytes that the text stands for, in either alphabet, with padding or without; throws \
         `invalid_base64` if it is none.",
        |text: ImmutableString| decode(&text),
    );
    to.function(
        "decode_text(text) -> string",
        "The text that was encoded; throws `not_utf8` if it was no text.",
        |encoded: ImmutableString| text("base64::decode_text", decode(&encoded)?),
    );
}

fn decode(text: &str) -> Result<Blob> {
    let engine = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    engine.decode(text).map_err(|error| {
        let message = match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => {
                format!("not base64: {} cannot stand there", place(text, at))
            }
            DecodeError::InvalidLength(length) => {
                format!("not base64: {length} characters are one too many or too few")
            }
            DecodeError::InvalidPadding => "not base64: the padding is wrong".to_owned(),
        };
        throw("base64", "invalid_base64", message)
    })
}
