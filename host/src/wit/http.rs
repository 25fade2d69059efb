//! `picloud:sdk/http`.

use picloud_shared::http;
use picloud_shared::receipt::{CallOutcome, Service};
use wasmtime::component::HasData;

use super::View;
use super::bindings::picloud::sdk::http::{Error, Host, Request, Response};
use super::convert::bytes_of;
use crate::invocation::{State, Stop};

/// Names the view to the linker.
pub(super) struct Http;

impl HasData for Http {
    type Data<'a> = View<'a, dyn http::Http>;
}

pub(super) fn view(state: &mut State) -> View<'_, dyn http::Http> {
    View::new(Service::Http, &*state.services.http, &mut state.meter)
}

impl Host for View<'_, dyn http::Http> {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, Error>> {
        let of_headers = bytes_of(&request.headers);
        self.meter.call("send", request.url.len() + of_headers + request.body.len())?;
        let request = http::Request {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body.into(),
            timeout_ms: request.timeout_ms,
            redirects: request.redirects.min(http::MAX_REDIRECTS),
        };
        let response = match self.service.send(request).await {
            Ok(response) => response,
            Err(error) => return self.meter.answer(failure(&error).map(Err)),
        };
        self.meter.outcome(CallOutcome::Ok);
        self.meter.move_bytes(bytes_of(&response.headers) + response.body.len())?;
        let http::Response { status, headers, body, url } = response;
        Ok(Ok(Response { status, headers, body: body.into(), url }))
    }
}

fn failure(error: &http::Error) -> wasmtime::Result<Error> {
    let message = error.to_string();
    match error {
        http::Error::Denied(_) => Ok(Error::Denied(message)),
        http::Error::InvalidRequest(_) => Ok(Error::InvalidRequest(message)),
        http::Error::TooManyRequests(_) => Ok(Error::TooManyRequests(message)),
        http::Error::TimedOut(_) => Ok(Error::TimedOut(message)),
        http::Error::TooLarge(_) => Ok(Error::TooLarge(message)),
        http::Error::Failed(_) => Ok(Error::Failed(message)),
        http::Error::BudgetExceeded(budget) => Err(Stop::Budget(*budget).into()),
    }
}
