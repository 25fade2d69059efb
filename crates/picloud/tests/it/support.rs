//! A running `picloud` for a test: the real binary on a free port with a data
//! directory of its own, gone when it is dropped.
//!
//! All of them share one directory of compiled code, so that only the first of
//! a build has to compile the guest.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take before a test fails. The first server of a build
/// compiles the guest.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// A running `picloud serve` or `picloud dev`.
pub struct Picloud {
    child: Child,
    port: u16,
    data_dir: PathBuf,
    http: reqwest::Client,
    /// Behind a lock only so that a server can be shared between tasks.
    lines: Mutex<Receiver<String>>,
    stderr: Arc<Mutex<String>>,
    /// Removed with the server, unless the directory is the test's.
    temp: Option<TempDir>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The output of a command that must have succeeded.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Picloud {
    /// `picloud serve` with further arguments.
    pub fn start(args: &[&str]) -> Self {
        let temp = TempDir::new().unwrap();
        let mut server = Self::start_in(&temp.path().join("data"), args);
        server.temp = Some(temp);
        server
    }

    /// `picloud serve` on a data directory that outlives it.
    pub fn start_in(data_dir: &Path, args: &[&str]) -> Self {
        let mut command = command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir).args(args);
        Self::spawn(command, data_dir)
    }

    /// [`Picloud::start_in`] with fail points, `name=action`; `None` if it has
    /// ended before it was ready.
    pub fn try_start_in(data_dir: &Path, args: &[&str], points: Option<&str>) -> Option<Self> {
        let mut command = command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir).args(args);
        command.envs(points.map(|points| ("FAILPOINTS", points)));
        let mut server = Self::begin(command, data_dir);
        let ready = server.lines.get_mut().unwrap().recv_timeout(PATIENCE);
        server.port = ready.ok()?.rsplit_once(':')?.1.parse().ok()?;
        Some(server)
    }

    /// Whether the process is gone.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// `picloud dev` of a folder or a file.
    pub fn dev(path: &Path, args: &[&str]) -> Self {
        let mut command = command();
        command.arg("dev").arg(path).args(["--listen", "127.0.0.1:0"]).args(args);
        let folder = if path.is_dir() { path } else { path.parent().unwrap() };
        Self::spawn(command, &folder.join(".picloud"))
    }

    /// `picloud test --watch` of a folder. It is no server, and can be asked
    /// for its lines alone.
    pub fn watch_tests(folder: &Path) -> Self {
        let mut command = command();
        command.arg("test").arg(folder).args(["--watch", "--app", "tested"]);
        Self::begin(command, folder)
    }

    fn spawn(command: Command, data_dir: &Path) -> Self {
        let mut server = Self::begin(command, data_dir);
        let ready = server.line(|line| line.starts_with("PiCloud is ready at "));
        server.port = ready.rsplit_once(':').unwrap().1.parse().unwrap();
        server
    }

    /// A server that is started in some other way, whose data directory has a
    /// path here that its process number tells.
    pub fn start_as(command: Command, data_dir: impl FnOnce(u32) -> PathBuf) -> Self {
        let mut server = Self::spawn(command, Path::new(""));
        server.data_dir = data_dir(server.pid());
        server
    }

    fn begin(mut command: Command, data_dir: &Path) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let (mut source, sink) = (child.stderr.take().unwrap(), Arc::clone(&stderr));
        thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = source.read(&mut chunk) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..length]));
            }
        });
        // Connections are not kept: a test that counts them, or kills the
        // server, is not to meet an old one.
        let http = picloud::client::http(false).pool_max_idle_per_host(0).timeout(PATIENCE);
        let http = http.build().unwrap();
        let data_dir = data_dir.to_owned();
        let lines = Mutex::new(lines);
        Self { child, port: 0, data_dir, http, lines, stderr, temp: None }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The admin's token, which the server wrote at its first start.
    pub fn token(&self) -> String {
        std::fs::read_to_string(self.data_dir.join("admin-token")).unwrap().trim().to_owned()
    }

    /// A URL of the control plane.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What the server calls an app's URL.
    pub fn app_url(&self, app: &str) -> String {
        format!("http://{app}.localhost:{}/", self.port)
    }

    /// A request under whatever host, without a token.
    pub async fn request(
        &self,
        host: &str,
        method: &str,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let method = method.parse::<Method>().unwrap();
        let request = self.http.request(method, self.url(path)).header("host", host).body(body);
        answer(request).await
    }

    /// A request with these headers, its host among them.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let request = self.http.request(method.parse().unwrap(), self.url(path)).body(body);
        let with = |request: reqwest::RequestBuilder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        answer(headers.iter().fold(request, with)).await
    }

    /// A GET from an app.
    pub async fn get(&self, app: &str, path: &str) -> Answer {
        self.request(&format!("{app}.localhost"), "GET", path, "").await
    }

    /// A request to the control plane, with the admin's token.
    pub async fn api(&self, method: &str, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let method = method.parse::<Method>().unwrap();
        let url = self.url(&format!("/api/v1{path}"));
        answer(self.http.request(method, url).bearer_auth(self.token()).body(body)).await
    }

    /// Makes an account and gives a token of it that may do all that it may.
    pub async fn account(&self, name: &str, role: &str) -> String {
        let invite = json!({ "role": role }).to_string();
        let invite = self.api("POST", "/invites", invite).await.json();
        let accept = json!({
            "secret": invite["secret"], "name": name, "password": "correct horse battery",
        });
        let joined = self.api("POST", "/invites/accept", accept.to_string()).await;
        assert_eq!(joined.status, 200, "{joined:?}");
        let cookie = joined.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let headers = [("host", "localhost"), ("cookie", &*cookie), ("origin", "http://localhost")];
        let wish = json!({ "name": "test", "scope": "admin" }).to_string();
        let made = self.send("POST", "/api/v1/tokens", &headers, wish).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["secret"].as_str().unwrap().to_owned()
    }

    /// Deploys files; the answer must be a success.
    pub async fn deploy(&self, app: &str, files: &[(&str, &str)]) -> Value {
        let answer = self.try_deploy(app, files).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// Deploys files, which may be refused.
    pub async fn try_deploy(&self, app: &str, files: &[(&str, &str)]) -> Answer {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let files: BTreeMap<String, Bytes> =
            files.iter().map(|(path, text)| ((*path).to_owned(), bytes(text))).collect();
        let archive = picloud_manager_core::archive::pack(&files).unwrap();
        self.api("POST", &format!("/apps/{app}/releases"), archive).await
    }

    /// Runs `picloud` against this server with the admin's token, outside of
    /// any app's folder.
    pub fn cli<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        let mut command = self.cli_command();
        command.args(args);
        run(command)
    }

    /// [`Picloud::cli`] before it runs.
    pub fn cli_command(&self) -> Command {
        let mut command = command();
        command.current_dir(env!("CARGO_TARGET_TMPDIR"));
        command.args(["--server", &self.url("")]);
        if self.data_dir.join("admin-token").exists() {
            command.args(["--token", &self.token()]);
        }
        command
    }

    /// The next line on the server's stdout of which this is true, colours removed.
    pub fn line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        let lines = self.lines.get_mut().unwrap();
        while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if wanted(&line) {
                return line;
            }
            seen.push(line);
        }
        let status = self.child.try_wait();
        panic!("no such line in {seen:#?}\n{status:?}\n{}", self.stderr());
    }

    /// What the server wrote to stderr so far: its own log.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// What the server wrote to stderr, as soon as this is true of it.
    pub async fn stderr_until(&self, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = self.stderr();
            if wanted(&text) {
                return text;
            }
            assert!(Instant::now() < end, "this is all that came: {text}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops the server and keeps its data directory for another.
    pub fn into_data_dir(mut self) -> TempDir {
        assert!(self.terminate().success());
        self.temp.take().expect("the directory is the server's")
    }

    /// Ends the process at once, as a failing machine would.
    pub fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the process to end, and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the process has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the server does not end\n{}", self.stderr());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Picloud {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.temp.take());
        if thread::panicking() {
            eprintln!("the server's log:\n{}", self.stderr());
        }
    }
}

/// Where the compiled guest is kept, once for all tests.
pub fn code_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("code-cache")
}

/// `picloud` with nothing in its environment but where compiled code is kept.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_picloud"));
    command.env_clear().env("PICLOUD_CODE_CACHE_DIR", code_cache()).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code().expect("the command was killed"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.unwrap() }
}
