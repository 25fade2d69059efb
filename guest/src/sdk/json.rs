//! `json::`: JSON text, and the conversion between it and a script's values
//! that answers, KV values and log fields go through too.
//!
//! A map is an object, `()` is null, a char is a string of one character. A
//! float stays a float: `1.0` is written `1.0` and read as a float again.

use std::fmt;

use rhai::{Array, Dynamic, FLOAT, ImmutableString, Map};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

use super::headers::Headers;
use super::options::Options;
use super::{Namespace, Registrar, Result, Shared, throw, type_name};

pub(super) const NAMESPACE: Namespace =
    Namespace { name: "json", doc: "JSON text and values.", register };

/// How deep arrays and maps may be nested, either way; that deep, neither
/// direction comes near the end of the stack.
pub(crate) const MAX_DEPTH: usize = 128;

fn register(to: &mut Registrar<'_>, _: &Shared) {
    to.function(
        "parse(text) -> value",
        "The value that the JSON text stands for; throws `invalid_json` if it is none.",
        |text: ImmutableString| parse("json", "invalid_json", text.as_bytes()),
    );
    to.function(
        "stringify(value) -> string",
        "The value as JSON on one line; throws `invalid_value` for what JSON cannot say.",
        |value: Dynamic| to_text("json", &value),
    );
    to.function(
        "stringify(value, #{pretty}) -> string",
        "With `pretty: true`, the value as indented JSON.",
        |value: Dynamic, options: Map| -> Result<String> {
            let mut options = Options::new("json", options, &["pretty"])?;
            if !options.boolean("pretty")?.unwrap_or(false) {
                return to_text("json", &value);
            }
            serde_json::to_string_pretty(&Json::new(&value))
                .map_err(|error| invalid("json", &error))
        },
    );
}

/// Parses JSON for `service`, throwing `code`.
pub(crate) fn parse(service: &'static str, code: &'static str, text: &[u8]) -> Result<Dynamic> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    DynamicSeed
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| throw(service, code, format!("not valid JSON: {error}")))
}

/// Writes a value as JSON for `service`, throwing `invalid_value`.
pub(crate) fn to_text(service: &'static str, value: &Dynamic) -> Result<String> {
    serde_json::to_string(&Json::new(value)).map_err(|error| invalid(service, &error))
}

fn invalid(service: &'static str, error: &serde_json::Error) -> Box<rhai::EvalAltResult> {
    throw(service, "invalid_value", error.to_string())
}

/// A value, written as JSON.
struct Json<'a> {
    value: &'a Dynamic,
    /// How many arrays and maps it lies within.
    depth: usize,
}

impl<'a> Json<'a> {
    fn new(value: &'a Dynamic) -> Self {
        Self { value, depth: 0 }
    }

    fn array<S: Serializer>(
        &self,
        array: &[Dynamic],
        to: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        let depth = self.next_depth()?;
        let mut list = to.serialize_seq(Some(array.len()))?;
        for value in array {
            list.serialize_element(&Json { value, depth })?;
        }
        list.end()
    }

    fn map<S: Serializer>(&self, map: &Map, to: S) -> std::result::Result<S::Ok, S::Error> {
        let depth = self.next_depth()?;
        let mut object = to.serialize_map(Some(map.len()))?;
        for (key, value) in map {
            object.serialize_entry(key.as_str(), &Json { value, depth })?;
        }
        object.end()
    }

    fn next_depth<E: serde::ser::Error>(&self) -> std::result::Result<usize, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(self.depth + 1)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let value = self.value;
        if let Ok(text) = value.as_immutable_string_ref() {
            return to.serialize_str(&text);
        }
        if let Ok(number) = value.as_int() {
            return to.serialize_i64(number);
        }
        if let Ok(map) = value.as_map_ref() {
            return self.map(&map, to);
        }
        if let Ok(array) = value.as_array_ref() {
            return self.array(&array, to);
        }
        if let Ok(truth) = value.as_bool() {
            return to.serialize_bool(truth);
        }
        if value.is_unit() {
            return to.serialize_unit();
        }
        if let Ok(number) = value.as_float() {
            if !number.is_finite() {
                return Err(S::Error::custom(format_args!("JSON has no number {number}")));
            }
            return to.serialize_f64(number);
        }
        if let Ok(c) = value.as_char() {
            return to.serialize_char(c);
        }
        if let Some(headers) = value.read_lock::<Headers>() {
            return self.map(&headers.to_map(), to);
        }
        let hint = if value.is_blob() { "; make a string of it first" } else { "" };
        Err(S::Error::custom(format_args!("a {} cannot be JSON{hint}", type_name(value))))
    }
}

/// Reads any JSON value. `serde_json` refuses nesting deeper than 128 itself.
struct DynamicSeed;

impl<'de> DeserializeSeed<'de> for DynamicSeed {
    type Value = Dynamic;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<Dynamic, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for DynamicSeed {
    type Value = Dynamic;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Dynamic, E> {
        Ok(Dynamic::UNIT)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Dynamic, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Dynamic, E> {
        Ok(value.into())
    }

    /// Past what an integer can hold, the nearest float stands for a number.
    #[expect(clippy::cast_precision_loss, reason = "that is what is documented")]
    fn visit_u64<E>(self, value: u64) -> std::result::Result<Dynamic, E> {
        Ok(i64::try_from(value).map_or_else(|_| (value as FLOAT).into(), Into::into))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Dynamic, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Dynamic, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> std::result::Result<Dynamic, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> std::result::Result<Dynamic, A::Error> {
        let mut array = Array::new();
        while let Some(value) = from.next_element_seed(DynamicSeed)? {
            array.push(value);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> std::result::Result<Dynamic, A::Error> {
        let mut map = Map::new();
        while let Some(key) = from.next_key::<std::borrow::Cow<'de, str>>()? {
            map.insert(key.as_ref().into(), from.next_value_seed(DynamicSeed)?);
        }
        Ok(map.into())
    }
}
