//! Between the shared model and the generated types of `picloud:sdk/types`.

use picloud_shared as shared;

use super::bindings::picloud::sdk::types as wit;

/// What of a script's error is kept. An error is recorded and logged beyond the
/// budget that the script's own log lines have.
const MESSAGE_BYTES: usize = 4 << 10;
const CODE_BYTES: usize = 64;
const STACK_FRAMES: usize = 64;
const NAME_BYTES: usize = 256;

impl From<shared::Invocation> for wit::Invocation {
    fn from(invocation: shared::Invocation) -> Self {
        let [a, b, c, d] = invocation.seed;
        Self {
            id: invocation.id.to_string(),
            app: invocation.app.into(),
            release: u64::try_from(invocation.release.0).unwrap_or(0),
            now: invocation.now_ms,
            seed: (a, b, c, d),
            function: invocation.function,
        }
    }
}

impl From<shared::Event> for wit::Event {
    fn from(event: shared::Event) -> Self {
        match event {
            shared::Event::Http(request) => Self::Http(wit::Request {
                method: request.method,
                url: request.url,
                path: request.path,
                query: request.query,
                params: request.params,
                headers: request.headers,
                host: request.host,
                ip: request.ip,
                body: request.body.into(),
            }),
            shared::Event::Named(event) => Self::Named(wit::NamedEvent {
                service: event.service,
                name: event.name,
                fields: event.fields,
            }),
        }
    }
}

impl From<wit::Response> for shared::Response {
    fn from(response: wit::Response) -> Self {
        Self { status: response.status, headers: response.headers, body: response.body.into() }
    }
}

impl From<&shared::Program> for wit::Program {
    fn from(program: &shared::Program) -> Self {
        let files = program.files().iter();
        Self {
            entry: program.entry().to_owned(),
            files: files
                .map(|(path, text)| wit::SourceFile { path: path.clone(), text: text.clone() })
                .collect(),
        }
    }
}

impl From<wit::ScriptInfo> for shared::ScriptInfo {
    fn from(info: wit::ScriptInfo) -> Self {
        Self { functions: info.functions, imports: info.imports }
    }
}

impl From<wit::ScriptError> for shared::ScriptError {
    fn from(error: wit::ScriptError) -> Self {
        Self {
            message: cut(error.message, MESSAGE_BYTES),
            code: error.code.map(|code| cut(code, CODE_BYTES)),
            position: error.position.map(Into::into),
            stack: error.stack.into_iter().take(STACK_FRAMES).map(Into::into).collect(),
        }
    }
}

impl From<wit::Frame> for shared::Frame {
    fn from(frame: wit::Frame) -> Self {
        Self { function: cut(frame.function, NAME_BYTES), position: frame.position.map(Into::into) }
    }
}

impl From<wit::Position> for shared::Position {
    fn from(position: wit::Position) -> Self {
        Self { file: cut(position.file, NAME_BYTES), line: position.line, column: position.column }
    }
}

/// What headers count as bytes moved.
pub(super) fn bytes_of(headers: &[(String, String)]) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// At most `max` bytes of a text; one that is cut ends in an ellipsis.
fn cut(mut text: String, max: usize) -> String {
    const ELLIPSIS: char = '…';
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - ELLIPSIS.len_utf8()));
        text.push(ELLIPSIS);
        text.shrink_to_fit();
    }
    text
}
