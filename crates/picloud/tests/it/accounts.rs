//! Accounts: links, logins, passwords, and what is tried against them.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Ended, Picloud};

const PASSWORD: &str = "correct horse battery";

async fn post(server: &Picloud, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("host", "localhost")];
    all.extend(headers);
    server.send("POST", &format!("/api/v1{path}"), &all, body.to_string()).await
}

async fn log_in(server: &Picloud, name: &str, password: &str) -> Answer {
    post(server, "/session", &json!({ "name": name, "password": password }), &[]).await
}

/// Makes an account with a link of the operator's.
async fn join(server: &Picloud, name: &str) -> Answer {
    let invite = server.api("POST", "/invites", "{}").await.json();
    let acceptance = json!({ "secret": invite["secret"], "name": name, "password": PASSWORD });
    post(server, "/invites/accept", &acceptance, &[]).await
}

/// The cookie that an answer sets.
fn cookie(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

async fn whoami(server: &Picloud, cookie: &str) -> Answer {
    let headers = [("host", "localhost"), ("cookie", cookie)];
    server.send("GET", "/api/v1/session", &headers, "").await
}

/// Runs `picloud` as somebody with a home of their own, who types this.
fn cli(server: &Picloud, home: &TempDir, args: &[&str], input: &str) -> Ended {
    let mut command = crate::support::command();
    command.current_dir(home.path()).env("PICLOUD_CREDENTIALS", home.path().join("c/tokens"));
    command.args(["--server", &format!("http://localhost:{}", server.port())]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn the_first_start_prints_a_link_to_the_first_admins_account() {
    let server = Picloud::start(&[]);
    let has_link =
        |text: &str| text.split("picloud join '").nth(1).is_some_and(|rest| rest.contains('\''));
    let printed = server.stderr_until(has_link).await;
    let link = printed.split("picloud join '").nth(1).unwrap().split('\'').next().unwrap();
    assert!(link.starts_with(&format!("http://localhost:{}/join#", server.port())), "{link}");
    let home = TempDir::new().unwrap();
    let ended = cli(&server, &home, &["join", link, "--name", "anna"], "short\n");
    assert!(ended.code == 1 && ended.stderr.contains("10 to 1024 bytes"), "{ended:?}");
    let text = cli(&server, &home, &["join", link, "--name", "anna"], PASSWORD).ok();
    assert!(text.starts_with("made the account anna"), "{text}");
    let whoami = cli(&server, &home, &["whoami"], "").ok();
    assert!(
        whoami.starts_with("anna, an admin, by the token \"picloud login\", until"),
        "{whoami}"
    );
    let again = cli(&server, &home, &["join", link, "--name", "bert"], PASSWORD);
    assert!(again.code == 1 && again.stderr.contains("ask for another"), "{again:?}");

    // Now that there is an account, no start prints a link.
    let path = server.data_dir().to_owned();
    let keep = server.into_data_dir();
    let server = Picloud::start_in(&path, &[]);
    assert_eq!(log_in(&server, "anna", PASSWORD).await.status, 200);
    assert!(!server.stderr().contains("join"), "{}", server.stderr());
    drop(keep);
}

#[tokio::test]
async fn two_people_share_an_instance_by_the_command_line() {
    let server = Picloud::start(&[]);
    let (anna, bert) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for (home, name) in [(&anna, "anna"), (&bert, "bert")] {
        let link = server.cli(["users", "invite", "--json"]).json()["link"].clone();
        let link = link.as_str().unwrap();
        cli(&server, home, &["join", link, "--name", name], PASSWORD).ok();
    }
    std::fs::write(anna.path().join("index.rhai"), "\"anna's\"").unwrap();
    cli(&server, &anna, &["deploy", "index.rhai", "--app", "diary"], "").ok();
    assert_eq!(server.get("diary", "/").await.text(), "anna's");

    assert_eq!(cli(&server, &bert, &["apps"], "").ok(), "");
    for args in [&["logs"][..], &["kv", "list", "c"], &["releases"], &["members"]] {
        let ended = cli(&server, &bert, &[args, &["--app", "diary"]].concat(), "");
        assert!(ended.code == 1 && ended.stderr.contains("there is no app diary"), "{ended:?}");
    }
    std::fs::write(bert.path().join("index.rhai"), "\"bert's\"").unwrap();
    let ended = cli(&server, &bert, &["deploy", "index.rhai", "--app", "diary"], "");
    assert!(ended.stderr.contains("the name diary is taken"), "{ended:?}");
    let ended = cli(&server, &bert, &["users"], "");
    assert!(ended.stderr.contains("this is for the instance's admins"), "{ended:?}");

    let set = cli(&server, &anna, &["members", "set", "bert", "viewer", "--app", "diary"], "").ok();
    assert!(set.starts_with("bert is viewer of diary"), "{set}");
    assert!(cli(&server, &bert, &["apps"], "").ok().contains("diary"));
    let ended = cli(&server, &bert, &["kv", "set", "c", "k", "1", "--app", "diary"], "");
    assert!(ended.stderr.contains("the app's developers and owners"), "{ended:?}");
    let audit = cli(&server, &anna, &["audit", "--app", "diary"], "").ok();
    assert!(audit.contains("set_member") && audit.contains("anna (picloud login)"), "{audit}");

    let token = cli(&server, &anna, &["tokens", "create", "ci", "--only", "diary", "--json"], "");
    let secret = token.json()["secret"].as_str().unwrap().to_owned();
    let tokens = cli(&server, &anna, &["tokens"], "").ok();
    assert!(tokens.contains("ci") && !tokens.contains(&secret), "{tokens}");
    let deployed =
        cli(&server, &bert, &["deploy", "index.rhai", "--app", "diary", "--token", &secret], "");
    assert_eq!(deployed.code, 0, "{deployed:?}");
    assert_eq!(server.get("diary", "/").await.text(), "bert's");

    cli(&server, &bert, &["logout"], "").ok();
    assert!(cli(&server, &bert, &["apps"], "").stderr.contains("log in"));
    cli(&server, &bert, &["login", "--name", "bert"], PASSWORD).ok();
    assert!(cli(&server, &bert, &["apps"], "").ok().contains("diary"));
    cli(&server, &bert, &["password"], &format!("{PASSWORD}\nanother one altogether\n")).ok();
    let ended = cli(&server, &bert, &["login", "--name", "bert"], PASSWORD);
    assert!(ended.stderr.contains("the name or the password is wrong"), "{ended:?}");
    let reset = server.cli(["users", "reset", "bert", "--json"]).json();
    let link = reset["link"].as_str().unwrap();
    let text = cli(&server, &bert, &["join", link], "a third one altogether").ok();
    assert!(text.starts_with("set the password of bert"), "{text}");
}

#[tokio::test]
async fn a_session_is_a_cookie_that_no_script_and_no_other_site_can_use() {
    let server = Picloud::start(&[]);
    let joined = join(&server, "anna").await;
    let set = joined.header("set-cookie").unwrap();
    for attribute in ["__Host-picloud=", "HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age="]
    {
        assert!(set.contains(attribute), "{attribute}: {set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    let cookie = cookie(&joined);
    assert_eq!(whoami(&server, &cookie).await.json()["user"]["name"], "anna");

    let change = async |headers: &[(&str, &str)]| {
        let mut all = vec![("host", "localhost"), ("cookie", &*cookie)];
        all.extend(headers);
        let answer = server.send("PUT", "/api/v1/apps/mine", &all, "").await;
        answer.status.as_u16()
    };
    for foreign in [
        &[][..],
        &[("origin", "http://evil.example")],
        // An app is another origin, on the same site.
        &[("origin", "http://app.localhost")],
        &[("origin", "null")],
        &[("origin", "http://localhost:81")],
        &[("origin", "http://localhost"), ("sec-fetch-site", "same-site")],
        &[("origin", "http://localhost"), ("sec-fetch-site", "cross-site")],
    ] {
        assert_eq!(change(foreign).await, 403, "{foreign:?}");
    }
    assert_eq!(change(&[("origin", "http://localhost")]).await, 201);
    let same = [("origin", "http://localhost"), ("sec-fetch-site", "same-origin")];
    assert_eq!(change(&same).await, 200);
    // An app's host does not even look at it.
    server.deploy("spy", &[("index.rhai", "req.headers.cookie ?? \"none\"")]).await;
    let headers = [("host", "spy.localhost"), ("cookie", "a=b")];
    assert_eq!(server.send("GET", "/", &headers, "").await.text(), "a=b");
}

#[tokio::test]
async fn a_login_begins_a_session_of_its_own_and_ends_it_for_good() {
    let server = Picloud::start(&[]);
    let first = cookie(&join(&server, "anna").await);
    // Whoever plants a session finds that a login does not take it up.
    let planted = "__Host-picloud=0123456789abcdef";
    let body = json!({ "name": "anna", "password": PASSWORD });
    let second = cookie(&post(&server, "/session", &body, &[("cookie", planted)]).await);
    assert!(second != planted && second != first);
    assert_eq!(whoami(&server, planted).await.status, 401);

    let headers = [("host", "localhost"), ("cookie", &*second), ("origin", "http://localhost")];
    let sessions = server.send("GET", "/api/v1/sessions", &headers, "").await.json();
    let sessions = sessions["items"].as_array().unwrap();
    let current = sessions.iter().filter(|session| session["current"] == true).count();
    assert_eq!((sessions.len(), current), (2, 1));
    let out = server.send("DELETE", "/api/v1/session", &headers, "").await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"), "{out:?}");
    assert_eq!(whoami(&server, &second).await.status, 401);
    assert_eq!(whoami(&server, &first).await.status, 200);

    // A new password ends the other sessions and keeps this one.
    let third = cookie(&log_in(&server, "anna", PASSWORD).await);
    let headers = [("host", "localhost"), ("cookie", &*third), ("origin", "http://localhost")];
    let change = |old: &str| json!({ "old": old, "new": "another one altogether" }).to_string();
    let wrong = server.send("PUT", "/api/v1/password", &headers, change("guess")).await;
    assert_eq!(wrong.json()["code"], "wrong_credentials");
    let changed = server.send("PUT", "/api/v1/password", &headers, change(PASSWORD)).await;
    assert_eq!(changed.status, 204);
    assert_eq!(whoami(&server, &first).await.status, 401);
    assert_eq!(whoami(&server, &third).await.status, 200);
}

#[tokio::test]
async fn passwords_are_guessed_so_often_and_no_more() {
    let server = Picloud::start(&[]);
    join(&server, "anna").await;
    let known = cookie(&log_in(&server, "anna", PASSWORD).await);
    let mut answers = Vec::new();
    for guess in 0..11 {
        answers.push(log_in(&server, "anna", &format!("guess {guess}")).await);
    }
    let throttled = answers.pop().unwrap();
    for answer in answers {
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["code"], "wrong_credentials");
    }
    assert_eq!(throttled.status, 429);
    assert_eq!(throttled.json()["code"], "too_many_tries");
    let wait: u64 = throttled.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    // Even the right one is not looked at; who is logged in stays so.
    assert_eq!(log_in(&server, "anna", PASSWORD).await.status, 429);
    assert_eq!(whoami(&server, &known).await.status, 200);
    // A name that nobody has answers alike.
    let nobody = log_in(&server, "nobody", PASSWORD).await;
    assert_eq!(
        (nobody.status.as_u16(), &nobody.json()["code"]),
        (401, &json!("wrong_credentials"))
    );
    // Names are used up by themselves: the address has its own count.
    let mut last = nobody.status;
    for name in 0..40 {
        last = log_in(&server, &format!("name{name}"), "guess").await.status;
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn a_crowd_that_logs_in_waits_or_is_told_to() {
    let server = std::sync::Arc::new(Picloud::start(&[]));
    join(&server, "anna").await;
    server.deploy("hi", &[("index.rhai", "\"hi\"")]).await;
    let crowd: Vec<_> = (0..60)
        .map(|_| {
            let server = std::sync::Arc::clone(&server);
            tokio::spawn(async move { log_in(&server, "anna", "guess").await })
        })
        .collect();
    assert_eq!(server.get("hi", "/").await.text(), "hi");
    let mut throttled = 0;
    for one in crowd {
        let answer = one.await.unwrap();
        assert!([401, 429].contains(&answer.status.as_u16()), "{answer:?}");
        throttled += usize::from(answer.status == 429);
    }
    assert!(throttled >= 49, "{throttled}");
}

/// Being told to come back later is not a guess at the password.
#[tokio::test]
async fn who_finds_no_place_in_a_crowd_is_not_kept_out_for_it() {
    let server = Picloud::start(&["--trusted-proxy", "127.0.0.1"]);
    join(&server, "anna").await;
    let turns = AtomicUsize::new(0);
    let try_from = async |address: String, name: &str| {
        let login = json!({ "name": name, "password": PASSWORD });
        post(&server, "/session", &login, &[("x-forwarded-for", &address)]).await
    };
    // Each of the crowd is somebody else, from somewhere else, at each try.
    let one_of_a_crowd = async || loop {
        let turn = turns.fetch_add(1, Ordering::Relaxed);
        let address = format!("10.{}.{}.{}", turn >> 16 & 255, turn >> 8 & 255, turn & 255);
        try_from(address, &format!("nobody{turn}")).await;
    };
    let crowd = futures_util::future::join_all((0..64).map(|_| one_of_a_crowd()));
    let anna = async {
        let mut turned_away = 0;
        while turned_away < 12 {
            let answer = try_from("192.0.2.1".to_owned(), "anna").await;
            assert!([200, 429].contains(&answer.status.as_u16()), "{answer:?}");
            turned_away += usize::from(answer.status == 429);
        }
    };
    tokio::select! { _ = crowd => {} () = anna => {} }
    // What the crowd has asked for is still being worked at, for a while.
    let mut answer = try_from("192.0.2.1".to_owned(), "anna").await;
    while answer.status == 429 {
        // An account that is kept out is told half a minute.
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((2..=5).contains(&after), "{answer:?}");
        answer = try_from("192.0.2.1".to_owned(), "anna").await;
    }
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn credentials_are_nowhere_in_the_data_directory() {
    let mut server = Picloud::start(&[]);
    let joined = join(&server, "anna").await;
    let session = cookie(&joined).split_once('=').unwrap().1.to_owned();
    let headers =
        [("host", "localhost"), ("cookie", &*cookie(&joined)), ("origin", "http://localhost")];
    let wish = json!({ "name": "t", "scope": "read" }).to_string();
    let made = server.send("POST", "/api/v1/tokens", &headers, wish).await.json();
    let token = made["secret"].as_str().unwrap().to_owned();
    let invite = server.api("POST", "/invites", "{}").await.json();
    let link = invite["secret"].as_str().unwrap().to_owned();
    let dir = server.data_dir().to_owned();
    assert!(server.terminate().success());
    for file in ["picloud.db", "history.db"] {
        let bytes = std::fs::read(dir.join(file)).unwrap();
        for secret in [PASSWORD, &session, &token, &link] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {file}");
        }
    }
}

#[tokio::test]
async fn what_is_no_account_is_told_what_is_wrong_with_it() {
    let server = Picloud::start(&[]);
    let invite = server.api("POST", "/invites", "{}").await.json();
    let accept = async |name: Value, password: &str| {
        let body = json!({ "secret": invite["secret"], "name": name, "password": password });
        let answer = post(&server, "/invites/accept", &body, &[]).await;
        (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    for (name, password, expected) in [
        (json!("Anna"), PASSWORD, (400, "invalid_name")),
        (json!("../etc"), PASSWORD, (400, "invalid_name")),
        (Value::Null, PASSWORD, (400, "invalid_name")),
        (json!("anna"), "short", (400, "weak_password")),
        (json!("anna"), &"x".repeat(1_025), (400, "weak_password")),
        (json!("anna"), "i am anna!!", (400, "weak_password")),
    ] {
        let (status, code) = accept(name.clone(), password).await;
        assert_eq!((status, &*code), expected, "{name} {password}");
    }
    let found = post(&server, "/invites/find", &json!({ "secret": invite["secret"] }), &[]).await;
    assert_eq!(found.json()["kind"], "join");
    assert_eq!(accept(json!("anna"), PASSWORD).await.0, 200);
    assert_eq!(accept(json!("bert"), PASSWORD).await, (404, "invite_not_found".to_owned()));
    let unknown = post(&server, "/session", &json!({ "name": "anna" }), &[]).await;
    assert_eq!(unknown.json()["code"], "invalid_body");
    let large = post(&server, "/session", &json!({ "name": "x".repeat(9_000) }), &[]).await;
    assert_eq!(large.status, 413);
}
