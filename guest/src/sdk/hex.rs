//! `hex::`: bytes as text, two digits each.

use hex::FromHexError;
use rhai::{Blob, Dynamic, ImmutableString};

use super::data::{Data, place};
use super::{Namespace, Registrar, Result, Shared, throw};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "hex", doc: "Bytes as hexadecimal digits.", register };

fn register(to: &mut Registrar<'_>, _: &Shared) {
    to.function(
        "encode(data) -> string",
        "A string or a blob as hexadecimal digits, in lower case.",
        |data: Dynamic| -> Result<String> {
            Ok(hex::encode(&*Data::of("hex::encode", "data", data)?))
        },
    );
    to.function(
        "decode(text) -> blob",
        "The bytes that the digits stand for, in either case; throws `invalid_hex` if the text is \
         none.",
        |text: ImmutableString| decode(&text),
    );
}

fn decode(text: &str) -> Result<Blob> {
    hex::decode(text).map_err(|error| {
        let message = match error {
            FromHexError::InvalidHexCharacter { index, .. } => {
                format!("not hexadecimal: {} is no digit", place(text, index))
            }
            FromHexError::OddLength | FromHexError::InvalidStringLength => {
                let length = text.len();
                format!("not hexadecimal: {length} digits are no whole number of bytes")
            }
        };
        throw("hex", "invalid_hex", message)
    })
}
