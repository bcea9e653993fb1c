//! What every request goes through, whatever it asks for: whether it may come in, when its
//! turn is, and what each answer says.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::{Request, Response};
use actix_service::Service;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
    ALLOW, CONTENT_LENGTH, DATE, HeaderMap, HeaderValue, ORIGIN, TRANSFER_ENCODING, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{Error, ResponseError as _};
use tokio::time::Instant;

use super::access::{Access, Visit, check_path};
use super::read_ahead::Body;
use super::refusal::Refusal;
use super::visitors::Visitor;

/// The last second whose year has four digits.
const DATES_END_S: u64 = 253_402_300_799;

/// Answers one request. The next one of the connection waits until this answer was taken:
/// nothing is made for who does not read it.
pub(super) fn answer<S>(
    access: &Access,
    request: Request,
    app: &S,
) -> impl Future<Output = Result<Response<Answer>, Error>> + use<S>
where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
    S::Future: 'static,
{
    let head = request.head();
    let turn = Turn::begin(request.conn_data::<Rc<Visitor>>(), body_of(&head.headers));
    let visit = access.check(head).and_then(|visit| check_path(head.uri.path()).map(|()| visit));
    let asks_first = preflight(&request, &visit);
    let called = visit.map(|visit| (visit, asks_first.is_none().then(|| app.call(request))));
    async move {
        turn.comes().await;
        let mut response: Response<BoxBody> = match called {
            Ok((Visit::Own, Some(answering))) => with_methods(answering.await?.into()),
            Ok((Visit::Page(origin), Some(answering))) => {
                let mut response = with_methods(answering.await?.into());
                let_page_read(&mut response, &origin);
                response
            }
            Ok((_, None)) => asks_first.unwrap_or_else(Response::bad_request),
            Err(refusal) => refusal.error_response().into(),
        };
        if let Some(date) = date(SystemTime::now()) {
            response.headers_mut().insert(DATE, date);
        }
        Ok(response.map_body(|_, body| Answer { body, _turn: turn }))
    }
}

/// Says which methods are allowed where another one was used, in the body as well.
fn with_methods(response: Response<BoxBody>) -> Response<BoxBody> {
    let allowed = response.headers().get(ALLOW).cloned();
    let Some(allowed) = allowed.filter(|_| response.status() == StatusCode::METHOD_NOT_ALLOWED)
    else {
        return response;
    };
    let message = format!("use {} here", allowed.to_str().unwrap_or_default());
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
    let mut told: Response<BoxBody> = refusal.error_response().into();
    told.headers_mut().insert(ALLOW, allowed);
    told
}

/// The answer to a browser that asks whether an allowed page may ask.
fn preflight<E>(request: &Request, visit: &Result<Visit, E>) -> Option<Response<BoxBody>> {
    let Ok(Visit::Page(origin)) = visit else { return None };
    let headers = &request.head().headers;
    if request.method() != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut response = Response::with_body(StatusCode::NO_CONTENT, BoxBody::new(()));
    let_page_read(&mut response, origin);
    let methods = HeaderValue::from_static("GET, HEAD, POST, DELETE");
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    Some(response)
}

/// Tells the browser that a page of this origin may read the answer.
fn let_page_read(response: &mut Response<BoxBody>, origin: &str) {
    let headers = response.headers_mut();
    if let Ok(origin) = HeaderValue::from_str(origin) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    headers.append(VARY, HeaderValue::from(ORIGIN));
}

/// What follows a head. One that the server would not understand never comes here.
fn body_of(headers: &HeaderMap) -> Body {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Body::Chunks;
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    Body::Bytes(length.unwrap_or_default())
}

/// What answers are dated with. `None` when the clock says what a date cannot.
fn date(now: SystemTime) -> Option<HeaderValue> {
    let since = now.duration_since(UNIX_EPOCH).ok()?;
    (since.as_secs() <= DATES_END_S)
        .then(|| HeaderValue::from_maybe_shared(Bytes::from(httpdate::fmt_http_date(now))).ok())?
}

/// A request's turn on its connection: from its head to the last byte of its answer.
struct Turn(Option<Rc<Visitor>>);

impl Turn {
    fn begin(visitor: Option<&Rc<Visitor>>, body: Body) -> Self {
        if let Some(visitor) = visitor {
            visitor.request_begins(body);
        }
        Self(visitor.cloned())
    }

    /// Waits until the answers before it were taken.
    async fn comes(&self) {
        if let Some(visitor) = &self.0 {
            poll_fn(|context| visitor.poll_owes_nothing(context)).await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(visitor) = &self.0 {
            visitor.answered(Instant::now());
        }
    }
}

/// The body of an answer.
pub(super) struct Answer {
    body: BoxBody,
    _turn: Turn,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn answers_are_dated_as_long_as_the_clock_says_a_date() {
        let at = |secs| date(UNIX_EPOCH + Duration::from_secs(secs));
        assert_eq!(at(784_111_777).expect("a date"), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(at(DATES_END_S).is_some());
        assert_eq!(at(DATES_END_S + 1), None);
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(1)), None);
    }
}
