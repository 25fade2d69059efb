//! `csv::`: tables as text (RFC 4180).

use csv::{ReaderBuilder, StringRecord, Trim, Writer, WriterBuilder};
use rhai::{Array, Dynamic, ImmutableString, Map};

use super::data::written;
use super::options::Options;
use super::{Namespace, Registrar, Result, Shared, throw, type_name};

pub(super) const NAMESPACE: Namespace = Namespace {
    name: "csv",
    doc: "Tables as text with commas. A field that begins with =, +, - or @ is a formula to \
          spreadsheets; it is written as it is.",
    register,
};

fn register(to: &mut Registrar<'_>, _: &Shared) {
    to.function(
        "parse(text) -> array",
        "The rows, each an array of strings. Throws `invalid_csv` if rows have different lengths.",
        |text: ImmutableString| parse(&text, Map::new()),
    );
    to.function(
        "parse(text, #{header, delimiter, trim}) -> array",
        "With `header: true` each row is a map by the names in the first one. `delimiter` is one \
         ASCII character; with `trim: true` spaces around fields are left out.",
        |text: ImmutableString, options: Map| parse(&text, options),
    );
    to.function(
        "stringify(rows) -> string",
        "Rows that are arrays, or maps, whose columns are those of the first one, as text.",
        |rows: Array| stringify(rows, Map::new()),
    );
    to.function(
        "stringify(rows, #{header, delimiter}) -> string",
        "With `header`, an array of names: the columns of maps, or a first row before arrays.",
        stringify,
    );
}

fn parse(text: &str, options: Map) -> Result<Array> {
    let mut options = Options::new("csv", options, &["header", "delimiter", "trim"])?;
    let has_header = options.boolean("header")?.unwrap_or(false);
    let trim = if options.boolean("trim")?.unwrap_or(false) { Trim::All } else { Trim::None };
    let mut reader = ReaderBuilder::new()
        .has_headers(has_header)
        .delimiter(delimiter(&mut options)?)
        .trim(trim)
        .from_reader(text.as_bytes());
    let names: Option<Vec<String>> = if has_header {
        let names = reader.headers().map_err(|error| invalid(&error))?;
        Some(names.iter().map(ToOwned::to_owned).collect())
    } else {
        None
    };
    let mut rows = Array::new();
    for record in reader.records() {
        let record = record.map_err(|error| invalid(&error))?;
        rows.push(row(&record, names.as_deref()));
    }
    Ok(rows)
}

fn row(record: &StringRecord, names: Option<&[String]>) -> Dynamic {
    match names {
        None => record.iter().map(Into::into).collect::<Array>().into(),
        Some(names) => {
            let fields = names.iter().map(|name| name.as_str().into()).zip(record.iter());
            fields.map(|(name, field)| (name, field.into())).collect::<Map>().into()
        }
    }
}

fn stringify(rows: Array, options: Map) -> Result<String> {
    let mut options = Options::new("csv", options, &["header", "delimiter"])?;
    let mut header = match options.array("header")? {
        Some(names) => Some(names.into_iter().map(field).collect::<Result<Vec<_>>>()?),
        None => None,
    };
    let mut writer = WriterBuilder::new()
        .flexible(true)
        .delimiter(delimiter(&mut options)?)
        .from_writer(Vec::new());
    if header.is_none()
        && let Some(first) = rows.first()
        && let Ok(first) = first.as_map_ref()
    {
        header = Some(first.keys().map(|name| name.as_str().into()).collect());
    }
    if let Some(names) = &header {
        write(&mut writer, names)?;
    }
    for row in rows {
        let fields: Vec<ImmutableString> = match row.try_cast_result::<Array>() {
            Ok(fields) => fields.into_iter().map(field).collect::<Result<_>>()?,
            Err(row) => match (row.try_cast_result::<Map>(), &header) {
                (Ok(mut row), Some(names)) => {
                    let take = |name: &ImmutableString| row.remove(name.as_str());
                    let fields = names.iter().map(take).map(Option::unwrap_or_default);
                    fields.collect::<Vec<_>>().into_iter().map(field).collect::<Result<_>>()?
                }
                (Ok(_), None) => {
                    let message = "rows are all arrays, or all maps";
                    return Err(throw("csv", "invalid_value", message));
                }
                (Err(other), _) => {
                    let message = format!("a row is an array or a map, not {}", type_name(&other));
                    return Err(throw("csv", "invalid_value", message));
                }
            },
        };
        write(&mut writer, &fields)?;
    }
    let failed = |error: &dyn std::fmt::Display| throw("csv", "invalid_value", error.to_string());
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}

fn write(writer: &mut Writer<Vec<u8>>, fields: &[ImmutableString]) -> Result<()> {
    let written = writer.write_record(fields.iter().map(ImmutableString::as_str));
    written.map_err(|error| throw("csv", "invalid_value", error.to_string()))
}

/// A field as text; `()` is an empty one.
fn field(value: Dynamic) -> Result<ImmutableString> {
    if value.is_unit() {
        return Ok(ImmutableString::new());
    }
    written(value).map_err(|value| {
        let message = format!("a {} cannot be a field; make a text of it first", type_name(&value));
        throw("csv", "invalid_value", message)
    })
}

fn delimiter(options: &mut Options) -> Result<u8> {
    match options.string("delimiter")?.as_deref().map(str::as_bytes) {
        None => Ok(b','),
        Some(&[one]) if one.is_ascii() && !matches!(one, b'"' | b'\r' | b'\n') => Ok(one),
        Some(_) => {
            let message = "option \"delimiter\" takes one ASCII character, such as \";\"";
            Err(throw("csv", "invalid_option", message))
        }
    }
}

fn invalid(error: &csv::Error) -> Box<rhai::EvalAltResult> {
    throw("csv", "invalid_csv", format!("not a table: {error}"))
}
