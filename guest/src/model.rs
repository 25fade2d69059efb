//! The words of `wit/types.wit`, as the guest's code uses them. They are types
//! of the crate's own so that everything but `bindings.rs` also builds natively.

/// An entry script with every script that it may import, and every template that
/// it may render.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Path of the script that answers events; one of `files`.
    pub entry: String,
    /// Each file's path within the app, and its text.
    pub files: Vec<(String, String)>,
}

/// What compiling a program tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptInfo {
    /// Names of the entry script's functions, in order.
    pub functions: Vec<String>,
    /// Paths of the files that it imports, directly or not, in order.
    pub imports: Vec<String>,
}

/// A place in a script. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Path within the app.
    pub file: String,
    pub line: u32,
    pub column: u32,
}

/// One call on the way to an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The function that was called.
    pub function: String,
    /// Where it was called from, if that is known.
    pub position: Option<Position>,
}

/// An error of the script's own: a syntax error, or one thrown and not caught.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptError {
    pub message: String,
    /// The `code` of a thrown `#{ code, message, service }`.
    pub code: Option<String>,
    pub position: Option<Position>,
    /// The calls that led there, innermost first.
    pub stack: Vec<Frame>,
}

impl ScriptError {
    /// The message, and the place behind it.
    pub(crate) fn one_line(&self) -> String {
        match &self.position {
            Some(at) => format!("{} ({}:{}:{})", self.message, at.file, at.line, at.column),
            None => self.message.clone(),
        }
    }
}

/// Everything about an invocation that the script has not brought itself.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// The execution's id.
    pub id: String,
    /// The app's name.
    pub app: String,
    /// The release's number.
    pub release: u64,
    /// Unix time in milliseconds.
    pub now_ms: u64,
    /// Seeds the script's random numbers.
    pub seed: [u64; 4],
    /// The function to call; without it the handler contract chooses.
    pub function: Option<String>,
}

/// What calls a handler.
#[derive(Clone, Debug)]
pub enum Event {
    Http(Request),
    Named(NamedEvent),
}

/// An HTTP request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// In upper case.
    pub method: String,
    pub url: String,
    /// Still percent-encoded.
    pub path: String,
    /// Without its `?`, still percent-encoded.
    pub query: String,
    /// The route's parameters, percent-decoded.
    pub params: Vec<(String, String)>,
    /// In the order received, names in lower case.
    pub headers: Vec<(String, String)>,
    pub host: String,
    /// The client's address.
    pub ip: String,
    pub body: Vec<u8>,
}

/// Something that happened other than a request.
#[derive(Clone, Debug, Default)]
pub struct NamedEvent {
    pub service: String,
    pub name: String,
    /// A JSON object.
    pub fields: String,
}

/// What a handler answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}
