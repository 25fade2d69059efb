//! `picloud invoke`: call a handler of an app, and see how it went.

use std::io::{IsTerminal as _, Read as _, Write as _};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use picloud_shared::ReleaseNumber;

use super::Global;
use super::executions::usage_text;
use super::logs::line_text;
use super::output::{Failed, Output, issue_text};
use super::text::{self, BOLD, DIM, ERROR, GOOD, WARNING};
use crate::client::{ExecutionDetail, Invoke, Invoked, Issue};

/// Call an app, and see how it went
///
/// The response's body goes to stdout; status, fuel, log and errors go to
/// stderr. A response with an error status is no failure; a script that threw
/// or ran out of something is.
#[derive(Args)]
#[command(after_help = "\
Examples:
  picloud invoke --app guestbook /
  picloud invoke --app shop '/items?limit=3' -H 'accept: application/json'
  picloud invoke --app shop /items -d '{\"name\": \"pen\"}'
  picloud invoke --app shop -X PUT /items/7/photo -d @pen.jpg")]
pub struct InvokeArgs {
    /// Path and query
    #[arg(value_parser = parse_path)]
    path: String,

    /// The method [default: GET, or POST with --data]
    #[arg(short = 'X', long, value_name = "METHOD", value_parser = parse_method)]
    method: Option<String>,

    /// A header; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,

    /// The body: a text, @file, or - for stdin; JSON is sent as application/json
    #[arg(short, long, value_name = "BODY", allow_hyphen_values = true)]
    data: Option<String>,

    /// A release to call in place of the active one
    #[arg(long, value_name = "NUMBER")]
    release: Option<i64>,
}

pub async fn run(args: InvokeArgs, global: &Global) -> anyhow::Result<()> {
    let (app, client, output) = (global.app()?, global.client()?, global.output());
    let invoked = client.invoke(&app, &request(args)?).await?;
    if output.json {
        output.result(&invoked, |_| String::new())?;
    } else {
        output.note(&summary(&invoked));
        write_body(&invoked, output)?;
    }
    match &invoked.execution {
        Some(run) if run.execution.outcome != "ok" => Err(Failed.into()),
        _ => Ok(()),
    }
}

fn request(args: InvokeArgs) -> anyhow::Result<Invoke> {
    let InvokeArgs { path, method, mut headers, data, release } = args;
    let default = if data.is_some() { "POST" } else { "GET" };
    let method = method.unwrap_or_else(|| default.to_owned());
    let data = data.map(|data| read_data(&data)).transpose()?;
    let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if let Some(data) = data.as_ref().filter(|_| !has_type) {
        headers.push(("content-type".to_owned(), content_type(data).to_owned()));
    }
    let (body, body_base64) = match data.map(String::from_utf8) {
        None => (None, None),
        Some(Ok(text)) => (Some(text), None),
        Some(Err(error)) => (None, Some(STANDARD.encode(error.as_bytes()))),
    };
    let release = release.map(ReleaseNumber);
    Ok(Invoke { method, path, headers, body, body_base64, release })
}

fn read_data(data: &str) -> anyhow::Result<Vec<u8>> {
    if data == "-" {
        let mut input = Vec::new();
        std::io::stdin().read_to_end(&mut input).context("cannot read stdin")?;
        return Ok(input);
    }
    match data.strip_prefix('@') {
        Some(file) => std::fs::read(file).with_context(|| format!("cannot read {file}")),
        None => Ok(data.as_bytes().to_vec()),
    }
}

fn content_type(data: &[u8]) -> &'static str {
    if serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok() {
        "application/json"
    } else if std::str::from_utf8(data).is_ok() {
        "text/plain; charset=utf-8"
    } else {
        "application/octet-stream"
    }
}

fn parse_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.contains(|c: char| c.is_control() || c == ' ' || c == '#') {
        return Ok(text.to_owned());
    }
    Err("a path starts with a slash and has no spaces; write a space as %20".to_owned())
}

fn parse_method(text: &str) -> Result<String, String> {
    let method = text.to_ascii_uppercase();
    match http::Method::from_bytes(method.as_bytes()) {
        Ok(_) => Ok(method),
        Err(_) => Err("a method is a word, such as GET".to_owned()),
    }
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let form = || "a header is written 'name: value'".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(form)?;
    let (name, value) = (name.trim(), value.trim());
    http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| form())?;
    http::HeaderValue::from_str(value)
        .map_err(|_| "a header's value has no control characters".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Everything but the body.
fn summary(invoked: &Invoked) -> String {
    let style = match invoked.status {
        0..400 => GOOD,
        400..500 => WARNING,
        _ => ERROR,
    };
    let shown = |name: &str| ["content-type", "location"].contains(&&*name.to_ascii_lowercase());
    let headers = invoked.headers.iter().filter(|(name, _)| shown(name));
    let headers: Vec<String> = headers.map(|(_, value)| text::line(value)).collect();
    let mut lines = vec![format!("{style}{}{style:#} {}", invoked.status, headers.join(" "))];
    let Some(ExecutionDetail { execution, logs }) = &invoked.execution else {
        return lines.join("\n");
    };
    lines.push(format!("{DIM}execution {}: {}{DIM:#}", execution.id, usage_text(execution)));
    lines.extend(logs.iter().map(line_text));
    match &execution.error {
        Some(error) => lines.push(issue_text(&Issue::new(error.clone(), None))),
        None if execution.outcome != "ok" => {
            let outcome = text::line(&execution.outcome);
            lines.push(format!("{ERROR}error{ERROR:#}{BOLD}: {outcome}{BOLD:#}"));
        }
        None => {}
    }
    lines.join("\n")
}

/// The body as it is; to a terminal only what does not steer it.
fn write_body(invoked: &Invoked, output: Output) -> anyhow::Result<()> {
    let body = match (&invoked.body, &invoked.body_base64) {
        (Some(body), _) => body.clone().into_bytes(),
        (None, Some(body)) => STANDARD.decode(body).context("the server's answer is garbled")?,
        (None, None) => return Ok(()),
    };
    let mut stdout = std::io::stdout().lock();
    if !stdout.is_terminal() {
        stdout.write_all(&body)?;
    } else if let Ok(body) = std::str::from_utf8(&body) {
        let end = if body.is_empty() || body.ends_with('\n') { "" } else { "\n" };
        write!(stdout, "{}{end}", text::harmless(body))?;
    } else {
        let size = text::bytes(body.len() as u64);
        output.note(&format!("{DIM}the body is {size} that are no text: use > FILE{DIM:#}"));
    }
    Ok(stdout.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let header = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(parse_header("Accept:text/html"), header("Accept", "text/html"));
        assert_eq!(parse_header("x-time: 12:30 "), header("x-time", "12:30"));
        assert_eq!(parse_header("x-empty:"), header("x-empty", ""));
        for bad in ["accept", ": x", "a b: c", "a: b\r\nc: d", "ä: b"] {
            assert!(parse_header(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_path_is_one_that_a_request_can_have() {
        assert!(parse_path("/a?b=c%20d").is_ok());
        for bad in ["", "a", "/a b", "/a\r\nx: y", "/#x", "http://h/"] {
            assert!(parse_path(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn data_makes_a_post_with_a_fitting_type() {
        let request = |method: Option<&str>, headers: &[&str], data: Option<&str>| {
            request(InvokeArgs {
                path: "/".to_owned(),
                method: method.map(|method| parse_method(method).unwrap()),
                headers: headers.iter().map(|header| parse_header(header).unwrap()).collect(),
                data: data.map(ToOwned::to_owned),
                release: None,
            })
            .unwrap()
        };
        let plain = request(None, &[], None);
        assert_eq!((plain.method.as_str(), plain.headers.len()), ("GET", 0));
        let json = request(None, &[], Some("{\"a\":1}"));
        assert_eq!(json.method, "POST");
        assert_eq!(json.headers, [("content-type".to_owned(), "application/json".to_owned())]);
        assert_eq!(json.body.as_deref(), Some("{\"a\":1}"));
        let text = request(Some("put"), &["Content-Type: text/csv"], Some("a,b"));
        assert_eq!(text.method, "PUT");
        assert_eq!(text.headers, [("Content-Type".to_owned(), "text/csv".to_owned())]);

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0xff, 0]).unwrap();
        let binary = request(None, &[], Some(&format!("@{}", file.path().display())));
        assert_eq!(binary.body_base64.as_deref(), Some("/wA="));
        assert_eq!(binary.headers[0].1, "application/octet-stream");
    }
}
