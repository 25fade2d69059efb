//! Logging in, accounts, tokens, members and the audit log.

use http::{HeaderValue, Method};
use picloud_shared::access::{AppRole, Invite, Member, Scope, Session, Token};
use picloud_shared::audit::Entry;
use picloud_shared::{AppSlug, InstanceRole, User, UserName};
use reqwest::{RequestBuilder, Response, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Client, Error, List, Page};

/// Who asks.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Whoami {
    pub user: Option<User>,
    pub operator: bool,
    pub token: Option<Token>,
}

/// A link with its secret.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct InviteLink {
    #[serde(flatten)]
    pub invite: Invite,
    pub link: String,
}

/// What a token is to be.
#[derive(Clone, Debug, Serialize)]
pub struct NewToken {
    pub name: String,
    pub scope: Scope,
    pub app: Option<AppSlug>,
    /// Seconds; `None` for ever.
    pub lifetime_s: Option<u64>,
}

/// A token with its secret.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MadeToken {
    #[serde(flatten)]
    pub token: Token,
    pub secret: String,
}

impl Client {
    /// Logs in, has a token made and logs out again.
    pub async fn log_in(
        &self,
        name: &UserName,
        password: &str,
        token: &NewToken,
    ) -> Result<MadeToken, Error> {
        let credentials = json!({ "name": name, "password": password });
        self.trade_for_token(&["session"], &credentials, token).await
    }

    /// What a link is for.
    pub async fn find_invite(&self, secret: &str) -> Result<Invite, Error> {
        let request = self.request(Method::POST, &["invites", "find"]);
        self.read(request.json(&json!({ "secret": secret }))).await
    }

    /// Uses a link up, and has a token made.
    pub async fn accept_invite(
        &self,
        secret: &str,
        name: Option<&UserName>,
        password: &str,
        token: &NewToken,
    ) -> Result<MadeToken, Error> {
        let acceptance = json!({ "secret": secret, "name": name, "password": password });
        self.trade_for_token(&["invites", "accept"], &acceptance, token).await
    }

    /// Makes the login that begins with this request last as a token.
    async fn trade_for_token(
        &self,
        path: &[&str],
        login: &Value,
        token: &NewToken,
    ) -> Result<MadeToken, Error> {
        // What was presented until now is not asked for.
        let anonymous = Self { token: None, ..self.clone() };
        let response = anonymous.send(anonymous.request(Method::POST, path).json(login)).await?;
        let cookie = cookie(&response).ok_or_else(|| Error::Status {
            server: self.server.to_string(),
            status: response.status().as_u16(),
        })?;
        let with_session = |request: RequestBuilder| {
            // A change with a cookie is to come from a page of the server's own.
            let request = request.header(header::COOKIE, cookie.clone());
            request.header(header::ORIGIN, self.server.origin().ascii_serialization())
        };
        let create = with_session(anonymous.request(Method::POST, &["tokens"])).json(token);
        let made = anonymous.read(create).await?;
        let end = with_session(anonymous.request(Method::DELETE, &["session"]));
        anonymous.send(end).await?;
        Ok(made)
    }

    pub async fn whoami(&self) -> Result<Whoami, Error> {
        self.read(self.request(Method::GET, &["session"])).await
    }

    /// Revokes the token that this client presents.
    pub async fn log_out(&self) -> Result<(), Error> {
        self.send(self.request(Method::DELETE, &["session"])).await.map(drop)
    }

    pub async fn sessions(&self) -> Result<List<Session>, Error> {
        self.read(self.request(Method::GET, &["sessions"])).await
    }

    pub async fn change_password(&self, old: &str, new: &str) -> Result<(), Error> {
        let request = self.request(Method::PUT, &["password"]);
        self.send(request.json(&json!({ "old": old, "new": new }))).await.map(drop)
    }

    pub async fn users(&self) -> Result<List<User>, Error> {
        self.all(&["users"]).await
    }

    pub async fn set_role(&self, user: &UserName, role: InstanceRole) -> Result<User, Error> {
        let request = self.request(Method::PUT, &["users", user.as_str()]);
        self.read(request.json(&json!({ "role": role }))).await
    }

    pub async fn delete_user(&self, user: &UserName) -> Result<(), Error> {
        self.send(self.request(Method::DELETE, &["users", user.as_str()])).await.map(drop)
    }

    pub async fn reset_password(&self, user: &UserName) -> Result<InviteLink, Error> {
        self.read(self.request(Method::POST, &["users", user.as_str(), "reset"])).await
    }

    pub async fn invite(&self, role: InstanceRole) -> Result<InviteLink, Error> {
        let request = self.request(Method::POST, &["invites"]);
        self.read(request.json(&json!({ "role": role }))).await
    }

    pub async fn invites(&self) -> Result<List<Invite>, Error> {
        self.read(self.request(Method::GET, &["invites"])).await
    }

    pub async fn withdraw_invite(&self, id: i64) -> Result<(), Error> {
        let id = id.to_string();
        self.send(self.request(Method::DELETE, &["invites", &id])).await.map(drop)
    }

    pub async fn tokens(&self) -> Result<List<Token>, Error> {
        self.read(self.request(Method::GET, &["tokens"])).await
    }

    pub async fn create_token(&self, token: &NewToken) -> Result<MadeToken, Error> {
        self.read(self.request(Method::POST, &["tokens"]).json(token)).await
    }

    pub async fn revoke_token(&self, id: i64) -> Result<(), Error> {
        let id = id.to_string();
        self.send(self.request(Method::DELETE, &["tokens", &id])).await.map(drop)
    }

    pub async fn members(&self, app: &AppSlug) -> Result<List<Member>, Error> {
        self.read(self.request(Method::GET, &["apps", app.as_str(), "members"])).await
    }

    pub async fn set_member(
        &self,
        app: &AppSlug,
        user: &UserName,
        role: AppRole,
    ) -> Result<(), Error> {
        let path = ["apps", app.as_str(), "members", user.as_str()];
        let request = self.request(Method::PUT, &path).json(&json!({ "role": role }));
        self.send(request).await.map(drop)
    }

    pub async fn remove_member(&self, app: &AppSlug, user: &UserName) -> Result<(), Error> {
        let path = ["apps", app.as_str(), "members", user.as_str()];
        self.send(self.request(Method::DELETE, &path)).await.map(drop)
    }

    /// The newest changes, of one app or of all.
    pub async fn audit(&self, app: Option<&AppSlug>, page: &Page) -> Result<List<Entry>, Error> {
        let path = match app {
            Some(app) => vec!["apps", app.as_str(), "audit"],
            None => vec!["audit"],
        };
        self.read(self.request(Method::GET, &path).query(page)).await
    }
}

/// The cookie that an answer sets, as it is to be sent back.
fn cookie(response: &Response) -> Option<HeaderValue> {
    let set = response.headers().get(header::SET_COOKIE)?.to_str().ok()?;
    let mut cookie = HeaderValue::from_str(set.split(';').next()?).ok()?;
    cookie.set_sensitive(true);
    Some(cookie)
}
