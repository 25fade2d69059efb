//! Traces, for an OpenTelemetry collector: a span for each request of an app's,
//! one for each invocation, and one for each of its calls to the host.
//!
//! They say what was asked of which service, how long it took and how it ended;
//! never a path, a key, a value or a message. Nobody waits for the collector:
//! spans are made after their invocation has ended, wait in a queue that drops
//! what it has no room for, and are given up soon after the server has stopped.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use picloud_executor_core::{Record, Trace};
use picloud_shared::receipt::{CallOutcome, HostCall, Service};
use picloud_shared::{AppSlug, Execution};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, broadcast::error::RecvError, oneshot};
use tokio::task::JoinHandle;

use crate::config::OtlpEndpoint;

/// How long a collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server that stops goes on sending.
const FLUSH: Duration = Duration::from_secs(2);
/// Bytes of a collector's answer that are read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Makes spans, and sends them from a thread of its own.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Nothing is sent yet, so it does not matter whether the collector is
    /// there. To be called in a runtime, in which requests to it are made.
    ///
    /// # Errors
    /// If this machine has no certificates to know an `https` endpoint by.
    pub fn start(endpoint: &OtlpEndpoint) -> anyhow::Result<Self> {
        let http = crate::client::http(endpoint.is_https()).timeout(TIMEOUT).build()?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector { http, runtime: Handle::current() })
            .with_endpoint(endpoint.of_traces())
            .build()
            .context("traces cannot be sent")?;
        // What the environment says of this server goes over what we say.
        let resource = Resource::builder_empty()
            .with_service_name("picloud")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_detector(Box::new(EnvResourceDetector::new()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("picloud");
        Ok(Self { provider, tracer })
    }

    /// Begins the span of a request. With `headers` it goes on with the trace
    /// that they name: only a proxy that is trusted may say so.
    pub fn request(
        &self,
        app: &AppSlug,
        method: &Method,
        headers: Option<&HeaderMap>,
    ) -> RequestSpan {
        let mut parent = Context::new();
        if let Some(headers) = headers {
            let headers = HeaderExtractor(headers);
            parent = TraceContextPropagator::new().extract_with_context(&parent, &headers);
        }
        let method = known(method);
        let attributes = [
            KeyValue::new("http.request.method", method),
            KeyValue::new("picloud.app", app.to_string()),
        ];
        let span = self
            .tracer
            .span_builder(method)
            .with_kind(SpanKind::Server)
            .with_attributes(attributes)
            .start_with_context(&self.tracer, &parent);
        RequestSpan(span)
    }

    /// Makes spans of what ends from now on.
    pub fn follow(self: &Arc<Self>, records: broadcast::Receiver<Arc<Record>>) -> Following {
        let (stop, stopped) = oneshot::channel();
        let traces = Arc::clone(self);
        let task = tokio::spawn(async move { traces.run(records, stopped).await });
        Following { traces: Arc::clone(self), stop, task }
    }

    async fn run(
        &self,
        mut records: broadcast::Receiver<Arc<Record>>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        loop {
            let record = tokio::select! {
                // What has ended before the stop is still told of.
                biased;
                record = records.recv() => record,
                _ = &mut stopped => return,
            };
            match record {
                Ok(record) => {
                    if let Some(trace) = &record.trace {
                        self.invocation(&record.execution, trace);
                    }
                }
                Err(RecvError::Lagged(missed)) => {
                    metrics::counter!("picloud_traces_dropped_total").increment(missed);
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// The spans of an invocation that has ended.
    fn invocation(&self, execution: &Execution, trace: &Trace) {
        let time = Time::now();
        let mut parent = Context::new();
        // One that is not valid would be taken for one that is not sampled.
        if trace.parent.is_valid() {
            parent = parent.with_remote_span_context(trace.parent.clone());
        }
        let is_request = execution.status.is_some();
        let usage = &execution.usage;
        let attributes = [
            KeyValue::new("picloud.app", trace.app.to_string()),
            KeyValue::new("picloud.execution", execution.id.to_string()),
            KeyValue::new("picloud.release", execution.release.to_string()),
            KeyValue::new("picloud.outcome", execution.outcome.clone()),
            KeyValue::new("picloud.attempts", i64::from(execution.attempts)),
            KeyValue::new("picloud.fuel", signed(usage.fuel)),
            KeyValue::new("picloud.memory_bytes", signed(usage.memory_bytes)),
            KeyValue::new("picloud.host_calls", signed(usage.host_calls)),
        ];
        let mut span = self
            .tracer
            .span_builder(execution.handler.clone())
            .with_kind(if is_request { SpanKind::Internal } else { SpanKind::Consumer })
            .with_start_time(time.of(trace.began))
            .with_attributes(attributes)
            .start_with_context(&self.tracer, &parent);
        if execution.outcome != "ok" {
            span.set_status(Status::error(execution.outcome.clone()));
        }
        let within = Context::new().with_remote_span_context(span.span_context().clone());
        for call in &trace.calls {
            self.call(call, time, &within);
        }
        let took = Duration::from_micros(execution.duration_us);
        span.end_with_timestamp(time.of(trace.began + took));
    }

    fn call(&self, call: &HostCall, time: Time, within: &Context) {
        let HostCall { service, operation, began, took, bytes, outcome } = call;
        let name = service.as_str();
        let attributes = [
            KeyValue::new("picloud.service", name),
            KeyValue::new("picloud.operation", *operation),
            KeyValue::new("picloud.bytes", signed(*bytes)),
            KeyValue::new("picloud.outcome", outcome.as_str()),
        ];
        let is_outbound = *service == Service::Http;
        let mut span = self
            .tracer
            .span_builder(format!("{name}.{operation}"))
            .with_kind(if is_outbound { SpanKind::Client } else { SpanKind::Internal })
            .with_start_time(time.of(*began))
            .with_attributes(attributes)
            .start_with_context(&self.tracer, within);
        if *outcome != CallOutcome::Ok {
            span.set_status(Status::error(outcome.as_str()));
        }
        span.end_with_timestamp(time.of(*began + *took));
    }
}

/// The span of a request under way. Dropped without an end, it has no status.
pub struct RequestSpan(Span);

impl RequestSpan {
    /// What the request leads to is within this.
    pub fn context(&self) -> SpanContext {
        self.0.span_context().clone()
    }

    /// The request is answered.
    pub fn end(mut self, status: StatusCode) {
        let code = i64::from(status.as_u16());
        self.0.set_attribute(KeyValue::new("http.response.status_code", code));
        if status.is_server_error() {
            self.0.set_status(Status::error(status.as_str().to_owned()));
        }
        self.0.end();
    }
}

/// Whoever makes spans of the records.
pub struct Following {
    traces: Arc<Traces>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Following {
    /// Sends what there is, and gives the rest up.
    pub async fn end(self) {
        let Self { traces, stop, task } = self;
        drop(stop);
        // An error means that the task or the thread has ended already.
        let _ = task.await;
        let shutdown = move || traces.provider.shutdown_with_timeout(FLUSH);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(shutdown).await {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// The system's time beside the one that durations are measured by.
#[derive(Clone, Copy)]
struct Time {
    system: SystemTime,
    instant: Instant,
}

impl Time {
    #[expect(clippy::disallowed_methods, reason = "spans of many programs have one clock")]
    fn now() -> Self {
        Self { system: SystemTime::now(), instant: Instant::now() }
    }

    fn of(self, instant: Instant) -> SystemTime {
        let ago = self.instant.saturating_duration_since(instant);
        self.system.checked_sub(ago).unwrap_or(self.system)
    }
}

/// The method, if it is one of HTTP's: a client can send any word.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

/// Attributes have no other integers.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The way to the collector. The thread that sends is not one of the runtime's,
/// and our HTTP client needs one.
#[derive(Debug)]
struct Collector {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.runtime.spawn(send(self.http.clone(), request.try_into()?)).await?
    }
}

async fn send(
    http: reqwest::Client,
    request: reqwest::Request,
) -> Result<Response<Bytes>, HttpError> {
    let mut answer = http.execute(request).await?;
    let mut body = BytesMut::new();
    while body.len() < MAX_ANSWER_BYTES
        && let Some(chunk) = answer.chunk().await?
    {
        body.extend_from_slice(&chunk);
    }
    let mut response = Response::new(body.freeze());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    Ok(response)
}
