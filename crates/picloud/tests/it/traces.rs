//! Traces, as a collector gets them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use serde_json::json;

use crate::support::Picloud;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
/// What the script writes and reads, and no span may have.
const HIDDEN: &str = "hidden";

type Exported = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// A collector that keeps what it gets.
struct Collector {
    url: String,
    exported: Exported,
}

impl Collector {
    async fn start() -> Self {
        async fn export(State(exported): State<Exported>, body: Bytes) {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            exported.lock().unwrap().push(request);
        }
        let exported = Exported::default();
        let app = Router::new().route("/v1/traces", post(export)).with_state(Arc::clone(&exported));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, exported }
    }

    /// The spans that it has got by the end of the server. Waiting for that
    /// takes a thread, and the collector needs another.
    fn spans_of(&self, mut server: Picloud) -> Vec<Span> {
        assert!(server.terminate().success());
        let exported = self.exported.lock().unwrap();
        let resources = exported.iter().flat_map(|request| &request.resource_spans);
        let spans = resources.flat_map(|resource| &resource.scope_spans);
        spans.flat_map(|scope| scope.spans.clone()).collect()
    }
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let text = |one: &KeyValue| match one.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    span.attributes.iter().map(|one| (&*one.key, text(one))).collect()
}

fn has_failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == i32::from(StatusCode::Error))
}

fn only(spans: &[Span], kind: SpanKind) -> &Span {
    let mut found = spans.iter().filter(|span| span.kind == i32::from(kind));
    let first = found.next().unwrap_or_else(|| panic!("no {kind:?}: {spans:#?}"));
    assert!(found.next().is_none(), "{spans:#?}");
    first
}

/// A server that is traced, with an app that uses its services.
async fn traced(collector: &Collector, args: &[&str]) -> Picloud {
    let args = [args, &["--otlp-endpoint", &collector.url]].concat();
    let server = Picloud::start(&args);
    let script = r#"
        fn post(req) {
            let entries = kv::collection("hidden-collection");
            entries.set("hidden-key", "hidden value");
            try { entries.set("", "hidden value"); } catch (error) {}
            log::info("hidden line");
            secrets::get("hidden_token");
            entries.get("hidden-key")
        }
        fn get(req) { throw "hidden reason" }
    "#;
    server.deploy("shop", &[("order.rhai", script)]).await;
    let set = server.api("PUT", "/apps/shop/secrets/hidden_token", "hidden secret").await;
    assert!(set.status.is_success(), "{set:?}");
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_its_invocation_and_their_host_calls_are_one_trace() {
    let collector = Collector::start().await;
    let server = traced(&collector, &[]).await;
    let headers = [
        ("host", "shop.localhost"),
        ("traceparent", &*format!("00-{TRACE}-{PARENT}-01")),
        ("authorization", "Bearer hidden"),
    ];
    let answer = server.send("POST", "/order?q=hidden", &headers, "hidden body").await;
    assert_eq!(answer.text(), "hidden value", "{answer:?}");
    let execution = answer.header("x-picloud-execution").unwrap().to_owned();
    let spans = collector.spans_of(server);
    assert!(!format!("{spans:?}").contains(HIDDEN), "{spans:#?}");

    let request = only(&spans, SpanKind::Server);
    assert_eq!(request.name, "POST");
    let of_request = attributes(request);
    assert_eq!(of_request["picloud.app"], "shop");
    assert_eq!(of_request["http.response.status_code"], "200");
    // Whoever comes without a proxy that is trusted begins a trace.
    assert!(request.parent_span_id.is_empty());
    assert_ne!(hex::encode(&request.trace_id), TRACE);
    assert!(spans.iter().all(|span| span.trace_id == request.trace_id));

    let mut within = spans.iter().filter(|span| span.parent_span_id == request.span_id);
    let (invocation, None) = (within.next().unwrap(), within.next()) else { panic!("{spans:#?}") };
    assert_eq!(invocation.name, "order.rhai");
    let of_invocation = attributes(invocation);
    assert_eq!(of_invocation["picloud.execution"], execution);
    assert_eq!(of_invocation["picloud.outcome"], "ok");
    assert_eq!(of_invocation["picloud.host_calls"], "5");
    assert!(!has_failed(invocation));

    let calls = spans.iter().filter(|span| span.parent_span_id == invocation.span_id);
    let mut calls: Vec<_> = calls.collect();
    calls.sort_by_key(|call| call.start_time_unix_nano);
    let told: Vec<_> = calls
        .iter()
        .map(|call| (&*call.name, attributes(call)["picloud.outcome"] == "ok"))
        .collect();
    let expected = [
        ("kv.set", true),
        ("kv.set", false),
        ("log.write", true),
        ("secrets.get", true),
        ("kv.get", true),
    ];
    assert_eq!(told, expected);
    assert_eq!(attributes(calls[1])["picloud.outcome"], "error");
    assert!(has_failed(calls[1]));
    // As JSON the value has quotes.
    let of_get = attributes(calls[4]);
    let moved = "hidden-collection".len() + "hidden-key".len() + "\"hidden value\"".len();
    assert_eq!(of_get["picloud.bytes"], moved.to_string());
    assert_eq!((&*of_get["picloud.service"], &*of_get["picloud.operation"]), ("kv", "get"));
    let mut before = invocation.start_time_unix_nano;
    for call in calls {
        assert!(before <= call.start_time_unix_nano, "{spans:#?}");
        before = call.end_time_unix_nano;
        assert!(call.start_time_unix_nano < before);
    }
    assert!(before <= invocation.end_time_unix_nano);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_says_which_trace_a_request_belongs_to() {
    let collector = Collector::start().await;
    let server = traced(&collector, &["--trusted-proxy", "127.0.0.1"]).await;
    for flags in ["01", "00"] {
        let parent = format!("00-{TRACE}-{PARENT}-{flags}");
        let headers = [("host", "shop.localhost"), ("traceparent", &*parent)];
        assert_eq!(server.send("GET", "/order", &headers, "").await.status, 500);
    }
    let spans = collector.spans_of(server);
    assert!(!format!("{spans:?}").contains(HIDDEN), "{spans:#?}");
    // The other one is not sampled.
    assert_eq!(spans.len(), 2, "{spans:#?}");
    assert!(spans.iter().all(|span| hex::encode(&span.trace_id) == TRACE && has_failed(span)));
    let request = only(&spans, SpanKind::Server);
    assert_eq!(hex::encode(&request.parent_span_id), PARENT);
    let invocation = only(&spans, SpanKind::Internal);
    assert_eq!(invocation.parent_span_id, request.span_id);
    assert_eq!(attributes(invocation)["picloud.outcome"], "script_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_a_trace_of_its_own() {
    let collector = Collector::start().await;
    let server = Picloud::start(&["--otlp-endpoint", &collector.url]);
    let manifest = "[[triggers]]\non = \"events.publish\"\nhandler = \"index.rhai\"";
    let files = [("picloud.toml", manifest), ("index.rhai", "fn on_event(event) { 1 }")];
    server.deploy("hi", &files).await;
    let event = json!({ "topic": "greeted" }).to_string();
    assert_eq!(server.api("POST", "/apps/hi/events", event).await.status, 202);
    let begun = Instant::now();
    while server.api("GET", "/apps/hi/executions", "").await.json()["items"] == json!([]) {
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing is delivered");
        tokio::task::yield_now().await;
    }
    let spans = collector.spans_of(server);
    assert_eq!(spans.len(), 1, "{spans:#?}");
    let invocation = only(&spans, SpanKind::Consumer);
    assert!(invocation.parent_span_id.is_empty());
    assert_eq!(attributes(invocation)["picloud.app"], "hi");
}

#[tokio::test]
async fn a_collector_that_is_dead_or_silent_holds_nothing_up() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let dead = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for collector in [silent.local_addr().unwrap(), dead] {
        let mut server = Picloud::start(&["--otlp-endpoint", &format!("http://{collector}")]);
        // More spans than wait to be sent.
        let script = "for n in 0..400 { kv::collection(\"a\").get(\"b\"); } 1";
        server.deploy("hi", &[("index.rhai", script)]).await;
        for _ in 0..10 {
            let answer = server.get("hi", "/").await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, "1"), "{answer:?}");
        }
        let begun = Instant::now();
        assert!(server.terminate().success());
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    silent.set_nonblocking(true).unwrap();
    silent.accept().expect("it was asked to take traces");
}
