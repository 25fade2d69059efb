//! `picloud:sdk/test`: refused, unless the invocation is a test.

use std::sync::Arc;

use picloud_shared::receipt::Service;
use picloud_shared::test;
use wasmtime::component::HasData;

use super::View;
use super::bindings::picloud::sdk::test::{
    ClientRequest, DeadLetter, Error, Host, OutboundRequest, Response, Stub,
};
use super::convert::bytes_of;
use crate::invocation::State;

/// `None` for whatever is no test.
type Lent = Option<Arc<dyn test::Test>>;

/// Names the view to the linker.
pub(super) struct Test;

impl HasData for Test {
    type Data<'a> = View<'a, Lent>;
}

pub(super) fn view(state: &mut State) -> View<'_, Lent> {
    View::new(Service::Test, &state.services.test, &mut state.meter)
}

impl View<'_, Lent> {
    /// Counts a call and the bytes that came with it, then looks for the test.
    fn lent(
        &mut self,
        operation: &'static str,
        bytes: usize,
    ) -> wasmtime::Result<Result<Arc<dyn test::Test>, Error>> {
        self.meter.call(operation, bytes)?;
        let lent = self.service.clone().ok_or_else(|| test::Error::NotAvailable.into());
        self.meter.answer(Ok(lent))
    }
}

impl Host for View<'_, Lent> {
    async fn send(&mut self, request: ClientRequest) -> wasmtime::Result<Result<Response, Error>> {
        let ClientRequest { method, path, headers, body } = request;
        let test =
            match self.lent("send", method.len() + path.len() + bytes_of(&headers) + body.len())? {
                Ok(test) => test,
                Err(error) => return Ok(Err(error)),
            };
        let request = test::Request { method, path, headers, body: body.into() };
        Ok(match test.send(request).await {
            Ok(picloud_shared::Response { status, headers, body }) => {
                self.meter.move_bytes(bytes_of(&headers) + body.len())?;
                Ok(Response { status, headers, body: body.into() })
            }
            Err(error) => Err(error.into()),
        })
    }

    async fn set_time(&mut self, now: u64) -> wasmtime::Result<Result<(), Error>> {
        Ok(match self.lent("set-time", 0)? {
            Ok(test) => test.set_time(now).await.map_err(Into::into),
            Err(error) => Err(error),
        })
    }

    async fn dead_letters(&mut self) -> wasmtime::Result<Result<Vec<DeadLetter>, Error>> {
        let test = match self.lent("dead-letters", 0)? {
            Ok(test) => test,
            Err(error) => return Ok(Err(error)),
        };
        let letters = match test.dead_letters().await {
            Ok(letters) => letters,
            Err(error) => return Ok(Err(error.into())),
        };
        let bytes = letters.iter().map(|letter| letter.fields.len() + letter.message.len());
        self.meter.move_bytes(bytes.sum())?;
        let letters = letters.into_iter().map(|letter| DeadLetter {
            event: letter.event,
            fields: letter.fields,
            handler: letter.handler,
            attempts: letter.attempts,
            message: letter.message,
        });
        Ok(Ok(letters.collect()))
    }

    fn add_stub(&mut self, stub: Stub) -> wasmtime::Result<Result<(), Error>> {
        let Stub { method, url, response } = stub;
        let method_bytes = method.as_ref().map_or(0, String::len);
        let bytes = method_bytes + url.len() + bytes_of(&response.headers) + response.body.len();
        let lent = self.lent("add-stub", bytes)?;
        let stub = test::Stub { method, url, response: response.into() };
        Ok(lent.and_then(|test| Ok(test.add_stub(stub)?)))
    }

    fn outbound_requests(&mut self) -> wasmtime::Result<Result<Vec<OutboundRequest>, Error>> {
        let test = match self.lent("outbound-requests", 0)? {
            Ok(test) => test,
            Err(error) => return Ok(Err(error)),
        };
        let sent = test.outbound_requests();
        let bytes_of = |request: &picloud_shared::http::Request| {
            request.url.len() + bytes_of(&request.headers) + request.body.len()
        };
        self.meter.move_bytes(sent.iter().map(bytes_of).sum())?;
        let sent = sent.into_iter().map(|request| OutboundRequest {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body.into(),
            timeout_ms: request.timeout_ms,
            redirects: request.redirects,
        });
        Ok(Ok(sent.collect()))
    }

    async fn set_secret(
        &mut self,
        name: String,
        value: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        Ok(match self.lent("set-secret", name.len() + value.len())? {
            Ok(test) => test.set_secret(&name, &value).await.map_err(Into::into),
            Err(error) => Err(error),
        })
    }
}

impl From<test::Error> for Error {
    fn from(error: test::Error) -> Self {
        let message = error.to_string();
        match error {
            test::Error::NotAvailable => Self::NotAvailable(message),
            test::Error::InvalidRequest(_) => Self::InvalidRequest(message),
            test::Error::Failed(_) => Self::Failed(message),
        }
    }
}
