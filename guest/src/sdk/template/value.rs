//! A script's values as a template's.
//!
//! Not by way of serde: the engine would hide what cannot be converted in a
//! value that is false in an `if` and fails only when it is printed.

use std::collections::BTreeMap;

use minijinja::Value;
use rhai::{Dynamic, Map};

use super::super::headers::Headers;
use super::super::json::MAX_DEPTH;
use super::super::{Result, throw, type_name};

pub(super) fn of_map(map: &Map) -> Result<Value> {
    convert_map(map, 0)
}

fn convert(value: &Dynamic, depth: usize) -> Result<Value> {
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(text.as_str().into());
    }
    if let Ok(number) = value.as_int() {
        return Ok(number.into());
    }
    if let Ok(map) = value.as_map_ref() {
        return convert_map(&map, depth);
    }
    if let Ok(array) = value.as_array_ref() {
        let depth = deeper(depth)?;
        let mut list = Vec::with_capacity(array.len());
        for value in array.iter() {
            list.push(convert(value, depth)?);
        }
        return Ok(list.into());
    }
    if let Ok(truth) = value.as_bool() {
        return Ok(truth.into());
    }
    if value.is_unit() {
        return Ok(().into());
    }
    if let Ok(number) = value.as_float() {
        return Ok(number.into());
    }
    if let Ok(c) = value.as_char() {
        return Ok(c.into());
    }
    if let Some(headers) = value.read_lock::<Headers>() {
        return convert_map(&headers.to_map(), depth);
    }
    let hint = if value.is_blob() { "; make a string of it first" } else { "" };
    Err(invalid(format!("a template cannot use a {}{hint}", type_name(value))))
}

fn convert_map(map: &Map, depth: usize) -> Result<Value> {
    let depth = deeper(depth)?;
    let mut object = BTreeMap::new();
    for (key, value) in map {
        object.insert(key.to_string(), convert(value, depth)?);
    }
    Ok(object.into())
}

fn deeper(depth: usize) -> Result<usize> {
    if depth == MAX_DEPTH {
        return Err(invalid(format!("the data are nested deeper than {MAX_DEPTH} levels")));
    }
    Ok(depth + 1)
}

fn invalid(message: String) -> Box<rhai::EvalAltResult> {
    throw("template", "invalid_value", message)
}
