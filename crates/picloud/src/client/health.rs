//! How a server is: what needs no token, and the little that tells more.

use http::Method;
use reqwest::header;
use serde::Deserialize;

use super::{ANSWER, App, Client, Error, List};

/// An answer of `/healthz` or `/readyz`.
#[derive(Clone, Debug)]
pub struct Probe {
    pub status: u16,
    pub text: String,
    /// The server's `Date`.
    pub date: Option<String>,
}

impl Client {
    /// Asks `healthz` or `readyz`, whatever the answer.
    pub async fn probe(&self, path: &str) -> Result<Probe, Error> {
        let url = format!("{}/{path}", self.server.as_str().trim_end_matches('/'));
        let broken = |error| Error::transport(&self.server, error);
        let response = self.http.get(url).timeout(ANSWER).send().await.map_err(broken)?;
        let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        let (status, date) = (response.status().as_u16(), date.map(ToOwned::to_owned));
        let text = response.text().await.map_err(broken)?.trim_end().to_owned();
        Ok(Probe { status, text, date })
    }

    /// The server's version, as its description of the API has it.
    pub async fn version(&self) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Document {
            info: Info,
        }
        #[derive(Deserialize)]
        struct Info {
            version: String,
        }
        let document: Document = self.read(self.request(Method::GET, &["openapi.json"])).await?;
        Ok(document.info.version)
    }

    /// One of the apps that there are, if there is any.
    pub async fn any_app(&self) -> Result<Option<App>, Error> {
        let request = self.request(Method::GET, &["apps"]).query(&[("limit", 1)]);
        let apps: List<App> = self.read(request).await?;
        Ok(apps.items.into_iter().next())
    }

    /// Whether there is a token to present.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }
}
