//! What the page shows, in the order in which it does.

use serde::Serialize;
use serde_json::{Map, Value};

#[derive(Serialize)]
pub(super) struct Reference {
    title: String,
    version: String,
    description: String,
    /// Where the API's paths begin.
    base: String,
    nouns: Vec<Noun>,
    shapes: Vec<Shape>,
}

#[derive(Serialize)]
struct Noun {
    name: String,
    description: String,
    operations: Vec<Operation>,
}

#[derive(Serialize)]
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    description: String,
    /// Who may call it.
    who: &'static str,
    parameters: Vec<Field>,
    body: Option<Content>,
    answers: Vec<Content>,
}

/// A parameter, or a field of an object.
#[derive(Serialize)]
struct Field {
    name: String,
    /// `path`, `query` or `header`; empty for a field.
    place: String,
    kind: Vec<Piece>,
    required: bool,
    description: String,
}

/// A body, or an answer.
#[derive(Serialize)]
struct Content {
    /// Empty for a body.
    status: String,
    description: String,
    forms: Vec<Form>,
}

#[derive(Serialize)]
struct Form {
    media: String,
    kind: Vec<Piece>,
}

/// A type that has a name.
#[derive(Serialize)]
struct Shape {
    name: String,
    description: String,
    kind: Vec<Piece>,
    fields: Vec<Field>,
}

/// A part of a type's description; a name leads to its shape.
#[derive(Serialize)]
struct Piece {
    text: String,
    is_name: bool,
}

impl Reference {
    pub(super) fn of(document: &Value) -> Self {
        let mut operations: Vec<(String, Operation)> = Vec::new();
        for (path, methods) in entries(&document["paths"]) {
            for (method, operation) in entries(methods) {
                let tag = text(&operation["tags"][0]);
                operations.push((tag, Operation::of(path, method, operation, document)));
            }
        }
        let noun = |tag: &Value| {
            let name = text(&tag["name"]);
            let its = operations.extract_if(.., |(of, _)| *of == name);
            let operations = its.map(|(_, operation)| operation).collect();
            Noun { name, description: text(&tag["description"]), operations }
        };
        let nouns = items(&document["tags"]).map(noun).collect();
        let shapes = entries(&document["components"]["schemas"]);
        let info = &document["info"];
        Self {
            title: text(&info["title"]),
            version: text(&info["version"]),
            description: text(&info["description"]),
            base: text(&document["servers"][0]["url"]),
            nouns,
            shapes: shapes.map(|(name, schema)| Shape::of(name, schema)).collect(),
        }
    }
}

impl Operation {
    fn of(path: &str, method: &str, operation: &Value, document: &Value) -> Self {
        let parameter = |given: &Value| Field {
            name: text(&given["name"]),
            place: text(&given["in"]),
            kind: kind(&given["schema"]),
            required: given["required"] == true,
            description: text(&given["description"]),
        };
        let answers = entries(&operation["responses"]).map(|(status, answer)| {
            let named = answer["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
            let answer = named.and_then(|to| document.pointer(to)).unwrap_or(answer);
            let status = if status == "default" { "otherwise" } else { status };
            Content::of(status, answer)
        });
        let who = match operation["security"][0]["token"][0].as_str() {
            None => "anyone",
            Some("user") => "any account",
            Some("read") => "viewers of the app and up",
            Some("deploy") => "developers of the app and up",
            Some("admin") => "owners of the app",
            Some(_) => "admins of the instance",
        };
        Self {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: text(&operation["summary"]),
            description: text(&operation["description"]),
            who,
            parameters: items(&operation["parameters"]).map(parameter).collect(),
            body: operation.get("requestBody").map(|body| Content::of("", body)),
            answers: answers.collect(),
        }
    }
}

impl Content {
    fn of(status: &str, content: &Value) -> Self {
        let form = |(media, form): (&String, &Value)| Form {
            media: media.clone(),
            kind: form.get("schema").map(kind).unwrap_or_default(),
        };
        Self {
            status: status.to_owned(),
            description: text(&content["description"]),
            forms: entries(&content["content"]).map(form).collect(),
        }
    }
}

impl Shape {
    fn of(name: &str, schema: &Value) -> Self {
        // What is put together of a named shape and fields of its own.
        let parts: Vec<&Value> = match schema.get("allOf") {
            Some(parts) => items(parts).collect(),
            None => vec![schema],
        };
        let (objects, others): (Vec<&Value>, Vec<&Value>) =
            parts.into_iter().partition(|part| part.get("properties").is_some());
        let fields = objects.into_iter().flat_map(|object| {
            entries(&object["properties"]).map(|(name, field)| Field {
                name: name.clone(),
                place: String::new(),
                kind: kind(field),
                required: items(&object["required"]).any(|required| required == name),
                description: described(field),
            })
        });
        let others: Vec<Vec<Piece>> = others.into_iter().map(kind).collect();
        Self {
            name: name.to_owned(),
            description: text(&schema["description"]),
            kind: joined(others, " and "),
            fields: fields.collect(),
        }
    }
}

/// A type in words.
fn kind(schema: &Value) -> Vec<Piece> {
    if let Some(to) = schema["$ref"].as_str() {
        let name = to.rsplit('/').next().unwrap_or(to);
        return vec![Piece { text: name.to_owned(), is_name: true }];
    }
    if let Some(any) = schema.get("oneOf") {
        return joined(items(any).map(kind).collect(), " or ");
    }
    if let Some(all) = schema.get("allOf") {
        return joined(items(all).map(kind).collect(), " and ");
    }
    if let Some(texts) = schema.get("enum") {
        return joined(items(texts).map(|one| word(&one.to_string())).collect(), ", ");
    }
    match &schema["type"] {
        Value::Null => word("any JSON"),
        Value::Array(types) => {
            joined(types.iter().map(|one| simple(&text(one), schema)).collect(), " or ")
        }
        one => simple(&text(one), schema),
    }
}

fn simple(name: &str, schema: &Value) -> Vec<Piece> {
    match (name, schema["format"].as_str()) {
        ("array", _) if schema["items"].is_object() => {
            let mut pieces = word("list of ");
            pieces.extend(kind(&schema["items"]));
            pieces
        }
        ("array", _) => word("list"),
        ("object", _) if schema.get("properties").is_some() => {
            let fields = entries(&schema["properties"]).map(|(name, field)| {
                let mut pieces = word(&format!("{name}: "));
                pieces.extend(kind(field));
                pieces
            });
            let mut pieces = word("{ ");
            pieces.extend(joined(fields.collect(), ", "));
            pieces.extend(word(" }"));
            pieces
        }
        ("string", Some(format)) => word(&format!("string ({format})")),
        (name, _) => word(name),
    }
}

/// A field's description, also where it is beside the type that it may not have.
fn described(field: &Value) -> String {
    let own = text(&field["description"]);
    if !own.is_empty() {
        return own;
    }
    items(&field["oneOf"]).map(|one| text(&one["description"])).collect()
}

fn word(text: &str) -> Vec<Piece> {
    vec![Piece { text: text.to_owned(), is_name: false }]
}

fn joined(parts: Vec<Vec<Piece>>, by: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for part in parts {
        if !pieces.is_empty() {
            pieces.extend(word(by));
        }
        pieces.extend(part);
    }
    pieces
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
