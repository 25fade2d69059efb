//! The processes under load.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// A server, killed when it is dropped.
pub struct Server {
    child: Child,
    pub port: u16,
    /// From its execution to its line that it is ready.
    pub ready_after: Duration,
    data_dir: PathBuf,
    client: reqwest::Client,
}

/// What PiCloud is compared with: axum, and nothing else.
pub fn bare_axum() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("ready at http://localhost:{}", listener.local_addr()?.port());
        std::io::stdout().flush()?;
        let app = axum::Router::new().route("/", axum::routing::get(async || "hello"));
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await?;
        Ok(())
    })
}

impl Server {
    pub fn bare_axum() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--bare-axum");
        Self::start(command, Path::new(""))
    }

    pub fn picloud(data_dir: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_picloud"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
        // Loads may come from addresses of their own.
        command.args(["--trusted-proxy", "127.0.0.1"]);
        command.env("RUST_LOG", "warn");
        Self::start(command, data_dir)
    }

    fn start(mut command: Command, data_dir: &Path) -> anyhow::Result<Self> {
        let started = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().context("its output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ready_after = started.elapsed();
        let port = line.trim().rsplit_once(':').context("a ready line")?.1.parse()?;
        let client = picloud::client::http(false).build()?;
        Ok(Self { child, port, ready_after, data_dir: data_dir.to_owned(), client })
    }

    pub fn admin_token(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.data_dir.join("admin-token"))?.trim().to_owned())
    }

    async fn admin(&self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let token = format!("Bearer {}", self.admin_token()?);
        let answer = self.api(method, path, &[("authorization", &token)], body).await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{text}");
        Ok(text)
    }

    /// Asks the API, whatever it answers.
    pub async fn api(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<reqwest::Response> {
        let url = format!("http://127.0.0.1:{}/api/v1{path}", self.port);
        let mut request = self.client.request(method.parse()?, url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(request.send().await?)
    }

    /// Makes an account; with the cookie of its session.
    pub async fn join(&self, name: &str, password: &str) -> anyhow::Result<String> {
        let invite = self.admin("POST", "/invites", "{}").await?;
        let invite: serde_json::Value = serde_json::from_str(&invite)?;
        let acceptance = serde_json::json!({
            "secret": invite["secret"], "name": name, "password": password,
        });
        let answer = self.api("POST", "/invites/accept", &[], &acceptance.to_string()).await?;
        let cookie = answer.headers().get("set-cookie").cloned();
        let cookie = cookie.with_context(|| format!("{name} is {}", answer.status()))?;
        Ok(cookie.to_str()?.split(';').next().unwrap_or_default().to_owned())
    }

    /// Takes a backup, and says how many bytes it had.
    pub async fn backup(&self) -> anyhow::Result<u64> {
        let token = std::fs::read_to_string(self.data_dir.join("admin-token"))?;
        let url = format!("http://127.0.0.1:{}/api/v1/backup", self.port);
        let mut answer = self.client.post(url).bearer_auth(token.trim()).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        let mut bytes = 0;
        while let Some(chunk) = answer.chunk().await? {
            bytes += chunk.len() as u64;
        }
        Ok(bytes)
    }

    /// Deploys the app's only script.
    pub async fn upload(&self, app: &str, script: &str) -> anyhow::Result<()> {
        self.upload_file(app, "index.rhai", script).await
    }

    /// Deploys the app with one file changed.
    pub async fn upload_file(&self, app: &str, path: &str, text: &str) -> anyhow::Result<()> {
        self.admin("PUT", &format!("/apps/{app}/scripts/{path}"), text).await.map(drop)
    }

    pub async fn add_member(&self, app: &str, user: &str) -> anyhow::Result<()> {
        let path = format!("/apps/{app}/members/{user}");
        self.admin("PUT", &path, r#"{"role":"owner"}"#).await.map(drop)
    }

    /// Lets the app answer as often as it can, so many at one time, and keep
    /// gigabytes.
    pub async fn unlimit(&self, app: &str, concurrency: usize) -> anyhow::Result<()> {
        let limits = serde_json::json!({ "limits": {
            "concurrency": concurrency, "requests_per_s": 1_000_000, "requests_burst": 1_000_000,
            "kv_bytes": 4_u64 << 30, "file_bytes": 4_u64 << 30,
        } });
        self.admin("PUT", &format!("/apps/{app}"), &limits.to_string()).await.map(drop)
    }

    async fn send(
        &self,
        method: &str,
        app: &str,
        path: &str,
    ) -> reqwest::Result<reqwest::Response> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let method = method.parse().unwrap_or_default();
        self.client.request(method, url).header("host", format!("{app}.localhost")).send().await
    }

    pub async fn get(&self, app: &str, path: &str) -> anyhow::Result<String> {
        Ok(self.send("GET", app, path).await?.text().await?)
    }

    pub async fn post(&self, app: &str, path: &str) -> anyhow::Result<String> {
        Ok(self.send("POST", app, path).await?.text().await?)
    }

    pub async fn status(&self, app: &str, path: &str) -> anyhow::Result<u16> {
        Ok(self.send("GET", app, path).await?.status().as_u16())
    }

    /// Sends a body to an app.
    pub async fn put(&self, app: &str, path: &str, body: Vec<u8>) -> anyhow::Result<()> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let request = self.client.put(url).header("host", format!("{app}.localhost"));
        let answer = request.body(body).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        Ok(())
    }

    /// What an app's redirect leads to.
    pub async fn download(&self, app: &str, path: &str) -> anyhow::Result<bytes::Bytes> {
        let redirect = self.send("GET", app, path).await?;
        let location = redirect.headers().get("location").context("a location")?.to_str()?;
        let prefix = format!("http://{app}.localhost");
        let path = location.strip_prefix(&prefix).context("a URL of the app")?;
        let answer = self.send("GET", app, path).await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        Ok(answer.bytes().await?)
    }

    pub async fn metrics(&self) -> anyhow::Result<String> {
        let url = format!("http://127.0.0.1:{}/metrics", self.port);
        Ok(self.client.get(url).header("host", "localhost").send().await?.text().await?)
    }

    /// Resident memory.
    pub fn rss_mb(&self) -> anyhow::Result<u64> {
        Ok(self.status_kb("VmRSS:")? / 1024)
    }

    /// Resident memory and all of the files in memory, in which scripts' images
    /// are: of those, RSS has what instances have mapped lately.
    pub fn memory_mb(&self) -> anyhow::Result<u64> {
        let mut kb = self.status_kb("VmRSS:")? - self.status_kb("RssShmem:")?;
        for fd in std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))? {
            let fd = fd?.path();
            if std::fs::read_link(&fd)?.to_string_lossy().starts_with("/memfd:") {
                kb += std::fs::metadata(&fd)?.blocks() / 2;
            }
        }
        Ok(kb / 1024)
    }

    fn status_kb(&self, name: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with(name)).context("its memory")?;
        Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
    }

    /// User and system time used so far.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit_once(')').context("its name")?.1;
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
