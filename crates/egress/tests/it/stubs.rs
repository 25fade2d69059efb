//! The network of tests: checked as ever, answered without a connection.

use picloud_egress::Stubs;
use picloud_shared::http::{Caps, Error, HttpClient as _, Response as Answer};
use picloud_shared::test::Stub;
use picloud_shared::{AppId, Response};

use crate::server::{caps, request};

fn stub(method: Option<&str>, url: &str, response: Response) -> Stub {
    Stub { method: method.map(Into::into), url: url.into(), response }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Response {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Response { status, headers, body: body.into() }
}

async fn send(stubs: &Stubs, method: &str, url: &str) -> Result<Answer, Error> {
    let caps = Caps { response_bytes: 10, ..caps(&["*.example"]) };
    stubs.send(AppId(1), &caps, request(method, url)).await
}

#[tokio::test]
async fn the_newest_stub_that_fits_answers_and_what_was_sent_is_remembered() {
    let stubs = Stubs::default();
    stubs.add(stub(None, "https://a.example/*", answer(404, &[], ""))).unwrap();
    stubs.add(stub(Some("GET"), "https://a.example/x?*", answer(200, &[("a", "b")], "x"))).unwrap();

    let x = send(&stubs, "get", "https://a.example/x?q=1").await.unwrap();
    assert_eq!(
        (x.status, &x.body[..], x.headers),
        (200, &b"x"[..], vec![("a".into(), "b".into())])
    );
    assert_eq!(send(&stubs, "PUT", "https://a.example/x?q=1").await.unwrap().status, 404);
    let error = send(&stubs, "GET", "https://b.example/").await.unwrap_err();
    assert!(
        error.to_string().starts_with("no test::stub answers GET https://b.example/"),
        "{error}"
    );

    let sent: Vec<_> = stubs.sent().into_iter().map(|one| (one.method, one.url)).collect();
    let expected = [
        ("GET", "https://a.example/x?q=1"),
        ("PUT", "https://a.example/x?q=1"),
        ("GET", "https://b.example/"),
    ];
    assert_eq!(sent, expected.map(|(method, url)| (method.to_owned(), url.to_owned())));
    stubs.reset();
    assert!(stubs.sent().is_empty());
    assert!(send(&stubs, "GET", "https://a.example/x?q=1").await.is_err());
}

#[tokio::test]
async fn a_stubbed_request_is_checked_like_any_other() {
    let stubs = Stubs::default();
    stubs.add(stub(None, "*://*", answer(200, &[], "a long answer"))).unwrap_err();
    stubs.add(stub(None, "http://*", answer(200, &[], "a long answer"))).unwrap();
    stubs
        .add(stub(
            None,
            "http://a.example/away",
            answer(302, &[("location", "http://b.test/")], ""),
        ))
        .unwrap();
    let denied = |result| matches!(result, Err(Error::Denied(_)));
    assert!(denied(send(&stubs, "GET", "http://b.test/").await));
    assert!(denied(send(&stubs, "GET", "http://a.example/away").await));
    assert!(matches!(
        send(&stubs, "GET", "http://me:pw@a.example/").await,
        Err(Error::InvalidRequest(_))
    ));
    assert!(matches!(send(&stubs, "GET", "http://a.example/").await, Err(Error::TooLarge(10))));
    for bad in ["", "*", "/path", "ftp://a.example/*", "http://"] {
        stubs.add(stub(None, bad, answer(200, &[], ""))).unwrap_err();
    }
}
