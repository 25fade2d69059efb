//! What is seen of a server from outside.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::fmt::rfc2822::DateTimeParser;
use picloud_shared::{Clock as _, SystemClock};
use reqwest::Url;

use super::Check;
use crate::cli::is_loopback;
use crate::client::{Client, Error, Probe, Whoami};

/// Clocks may be apart by this much; `Date` has whole seconds.
const CLOSE_MS: u64 = 5_000;

/// Whether the server answers, and is ready if it does.
pub async fn health(client: &Client, server: &Url) -> Vec<Check> {
    let mut checks = vec![answers(server, client.probe("healthz").await)];
    if checks.iter().all(|check| check.state == super::State::Ok) {
        checks.push(ready(client.probe("readyz").await));
    }
    checks
}

/// Everything else that a server which answers is asked.
pub async fn checks(client: &Client, server: &Url) -> Vec<Check> {
    let before_ms = SystemClock.now_ms();
    let probe = client.probe("healthz").await;
    let after_ms = SystemClock.now_ms();
    let date_ms = probe.ok().and_then(|probe| unix_ms(probe.date.as_deref()?));
    let whoami = client.whoami().await;
    let is_known = whoami.is_ok();
    let mut checks = vec![
        version(env!("CARGO_PKG_VERSION"), client.version().await),
        connection(server),
        clock(date_ms, before_ms, after_ms),
        credentials(client.has_token(), whoami),
    ];
    if is_known {
        checks.push(names_of_apps(client, server).await);
    }
    checks
}

fn answers(server: &Url, probe: Result<Probe, Error>) -> Check {
    const NAME: &str = "server";
    const ADVICE: &str = "is it a PiCloud server, and is this one of its --control-host names?";
    match probe {
        Ok(probe) if probe.status == 200 && probe.text == "ok" => {
            Check::ok(NAME, format!("{server} answers"))
        }
        Ok(probe) => {
            let found = format!("{server} answers /healthz with status {}", probe.status);
            Check::problem(NAME, found, ADVICE)
        }
        Err(error @ Error::Unreachable { .. }) => {
            let advice =
                "start it, or name another with --server; its log says why it does not run";
            Check::problem(NAME, error.to_string(), advice)
        }
        Err(error) => Check::problem(NAME, error.to_string(), ADVICE),
    }
}

fn ready(probe: Result<Probe, Error>) -> Check {
    const NAME: &str = "ready";
    match probe {
        Ok(probe) if probe.status == 200 => Check::ok(NAME, "it takes requests"),
        Ok(probe) => {
            let advice = "the server's log has the cause; a full disk and a PostgreSQL that is away are the likeliest";
            Check::problem(NAME, format!("it is not ready: {}", probe.text), advice)
        }
        Err(error) => Check::problem(NAME, error.to_string(), "look into the server's log"),
    }
}

fn version(ours: &str, theirs: Result<String, Error>) -> Check {
    const NAME: &str = "version";
    match theirs {
        Ok(theirs) if theirs == ours => Check::ok(NAME, theirs),
        Ok(theirs) => {
            let found = format!("the server is {theirs}, this command {ours}");
            Check::warning(
                NAME,
                found,
                "use the same version on both sides; restart the server after an upgrade",
            )
        }
        Err(error) => {
            let advice = "the server may be of a version that this command does not know";
            Check::warning(NAME, error.to_string(), advice)
        }
    }
}

fn connection(server: &Url) -> Check {
    const NAME: &str = "connection";
    if server.scheme() == "https" {
        Check::ok(NAME, "HTTPS, with a certificate that this machine trusts")
    } else if is_loopback(server) {
        Check::ok(NAME, "it stays on this machine")
    } else {
        let advice = "put a proxy with TLS in front and use https:// (docs/operations/tls.md)";
        Check::problem(NAME, "HTTP: tokens and passwords travel in the clear", advice)
    }
}

/// The server's clock, asked within these moments.
fn clock(date_ms: Option<u64>, before_ms: u64, after_ms: u64) -> Check {
    const NAME: &str = "clock";
    let Some(date_ms) = date_ms else {
        return Check::warning(NAME, "the answer has no Date", "does a proxy remove it?");
    };
    let apart_ms = before_ms.saturating_sub(date_ms).max(date_ms.saturating_sub(after_ms));
    if apart_ms <= CLOSE_MS {
        return Check::ok(NAME, "the server's and this machine's agree");
    }
    let found = format!("the server's and this machine's are {} s apart", apart_ms / 1000);
    let advice = "have both set by NTP: schedules, tokens and links go by the server's";
    Check::warning(NAME, found, advice)
}

fn unix_ms(date: &str) -> Option<u64> {
    let at = DateTimeParser::new().parse_timestamp(date).ok()?;
    u64::try_from(at.as_millisecond()).ok()
}

fn credentials(has_token: bool, whoami: Result<Whoami, Error>) -> Check {
    const NAME: &str = "credentials";
    match whoami {
        Ok(Whoami { user: Some(user), .. }) => Check::ok(NAME, format!("{} is known", user.name)),
        Ok(Whoami { user: None, .. }) => Check::ok(NAME, "the operator, by the admin's token"),
        Err(error) if error.status() == Some(401) && !has_token => {
            let advice = "`picloud login`, or pass a token with --token or PICLOUD_TOKEN";
            Check::warning(NAME, "there is no token to present", advice)
        }
        Err(error) if error.status() == Some(401) => {
            let advice = "`picloud login` gets a new token; the operator's is in admin-token in the data directory";
            Check::problem(NAME, "the server does not accept the token", advice)
        }
        Err(error) => Check::problem(NAME, error.to_string(), "look into the server's log"),
    }
}

/// Where names lead.
#[derive(Debug, Default)]
struct Resolved {
    server: BTreeSet<IpAddr>,
    /// The host of an app.
    app: BTreeSet<IpAddr>,
    /// A name beside it that no app has.
    free: BTreeSet<IpAddr>,
}

async fn names_of_apps(client: &Client, server: &Url) -> Check {
    const NAME: &str = "apps-dns";
    let app = match client.any_app().await {
        Ok(Some(app)) => app,
        Ok(None) => return Check::ok(NAME, "there is no app yet whose name could be looked up"),
        Err(error) => return Check::problem(NAME, error.to_string(), "look into the server's log"),
    };
    let url = app.url.parse::<Url>();
    let Some((host, domain)) = url
        .as_ref()
        .ok()
        .and_then(Url::host_str)
        .and_then(|host| Some((host, host.split_once('.')?.1)))
    else {
        let advice = "name a domain with --apps-domain";
        return Check::problem(NAME, format!("{} has no host name", app.url), advice);
    };
    let free = format!("{}-0.{domain}", app.slug);
    let resolved = Resolved {
        server: resolve(server.host_str().unwrap_or_default()).await,
        app: resolve(host).await,
        free: resolve(&free).await,
    };
    names(is_loopback(server), host, domain, &resolved)
}

/// The addresses of a host; none if it has none.
async fn resolve(host: &str) -> BTreeSet<IpAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((host, 0)).await;
    found.map(|found| found.map(|at| at.ip()).collect()).unwrap_or_default()
}

fn names(server_is_here: bool, host: &str, domain: &str, resolved: &Resolved) -> Check {
    const NAME: &str = "apps-dns";
    if domain == "localhost" {
        if server_is_here {
            // Browsers know what it means, whatever the resolver says.
            return Check::ok(NAME, "apps are at *.localhost, on this machine");
        }
        let advice = "tell the server the apps' domain with --apps-domain";
        return Check::warning(NAME, format!("{host} means another machine everywhere"), advice);
    }
    let record = format!("add a DNS record for *.{domain} that leads to the server");
    if resolved.app.is_empty() {
        return Check::problem(NAME, format!("{host} has no address"), record);
    }
    if !server_is_here && resolved.app.is_disjoint(&resolved.server) {
        return Check::warning(NAME, format!("{host} does not lead where the server is"), record);
    }
    if resolved.free.is_empty() {
        let found = format!("{host} has an address, and a new app would have none");
        return Check::warning(NAME, found, record);
    }
    Check::ok(NAME, format!("*.{domain} has an address"))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn probe(status: u16, text: &str) -> Probe {
        Probe { status, text: text.to_owned(), date: None }
    }

    fn refused(status: u16) -> Error {
        Error::Status { server: "s".to_owned(), status }
    }

    #[test]
    fn only_a_server_of_ours_that_is_ready_is_well() {
        let server = "http://localhost:1".parse().unwrap();
        assert_eq!(answers(&server, Ok(probe(200, "ok"))).state, State::Ok);
        assert_eq!(answers(&server, Ok(probe(200, "<html>"))).state, State::Problem);
        assert_eq!(answers(&server, Ok(probe(421, ""))).state, State::Problem);
        assert_eq!(ready(Ok(probe(200, "ready"))).state, State::Ok);
        let away = ready(Ok(probe(503, "the database is unavailable")));
        assert_eq!(away.state, State::Problem);
        assert!(away.found.contains("the database is unavailable"));
    }

    #[test]
    fn another_version_is_a_warning() {
        assert_eq!(version("1.0.0", Ok("1.0.0".to_owned())).state, State::Ok);
        let other = version("1.0.0", Ok("1.1.0".to_owned()));
        assert_eq!(other.state, State::Warning);
        assert_eq!(other.found, "the server is 1.1.0, this command 1.0.0");
        assert_eq!(version("1.0.0", Err(refused(404))).state, State::Warning);
    }

    #[test]
    fn a_token_does_not_travel_in_the_clear() {
        let check = |server: &str| connection(&server.parse().unwrap()).state;
        assert_eq!(check("https://picloud.example.org"), State::Ok);
        assert_eq!(check("http://127.0.0.1:8080"), State::Ok);
        assert_eq!(check("http://picloud.example.org"), State::Problem);
        assert_eq!(check("http://10.0.0.7:8080"), State::Problem);
    }

    #[test]
    fn clocks_are_compared_with_the_moments_around_the_question() {
        let date = unix_ms("Wed, 25 Nov 2026 17:48:30 GMT").unwrap();
        assert_eq!(date, 1_795_628_910_000);
        assert_eq!(unix_ms("yesterday"), None);
        // An answer that took a minute says nothing against either clock.
        assert_eq!(clock(Some(date), date - 30_000, date + 30_000).state, State::Ok);
        assert_eq!(clock(Some(date), date + 4_000, date + 4_100).state, State::Ok);
        for (before, after) in [(date + 60_000, date + 60_001), (date - 60_001, date - 60_000)] {
            let check = clock(Some(date), before, after);
            assert_eq!(check.state, State::Warning);
            assert!(check.found.contains("60 s apart"), "{check:?}");
        }
        assert_eq!(clock(None, date, date).state, State::Warning);
    }

    #[test]
    fn a_token_that_is_refused_is_a_problem_and_none_is_not() {
        let operator = Whoami { user: None, operator: true, token: None };
        assert_eq!(credentials(true, Ok(operator)).state, State::Ok);
        assert_eq!(credentials(true, Err(refused(401))).state, State::Problem);
        assert_eq!(credentials(false, Err(refused(401))).state, State::Warning);
        assert_eq!(credentials(false, Err(refused(503))).state, State::Problem);
    }

    #[test]
    fn names_of_apps_lead_to_the_server_also_those_of_apps_to_come() {
        let at = |address: &str| BTreeSet::from([address.parse::<IpAddr>().unwrap()]);
        let check = |is_here, app: &[&str], free: &[&str]| {
            let all = |names: &[&str]| names.iter().flat_map(|name| at(name)).collect();
            let resolved = Resolved { server: at("192.0.2.1"), app: all(app), free: all(free) };
            names(is_here, "a.apps.example", "apps.example", &resolved)
        };
        assert_eq!(check(false, &["192.0.2.1"], &["192.0.2.1"]).state, State::Ok);
        assert_eq!(check(true, &["198.51.100.1"], &["198.51.100.1"]).state, State::Ok);
        assert_eq!(check(false, &["198.51.100.1"], &["198.51.100.1"]).state, State::Warning);
        assert_eq!(check(false, &["192.0.2.1"], &[]).state, State::Warning);
        let missing = check(false, &[], &[]);
        assert_eq!(missing.state, State::Problem);
        assert!(missing.advice.unwrap().contains("*.apps.example"));
        let local = |is_here| names(is_here, "a.localhost", "localhost", &Resolved::default());
        assert_eq!((local(true).state, local(false).state), (State::Ok, State::Warning));
    }
}
