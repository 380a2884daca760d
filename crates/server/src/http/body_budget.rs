//! Bounds on the bytes of all bodies that are being read, and of all answers that are being written.
//!
//! A limit for each bounds nothing as long as many clients send most of a body and then wait, or ask for much and take
//! little.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So much of each body is free, so that those who send large ones do not keep out those who send small ones.
const FREE_BYTES: usize = 64 * 1024;

/// An answer is handed on in parts of so many bytes: what hyper has taken over is not counted any more.
const PART_BYTES: usize = 16 * 1024;

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// It is larger than one body may be.
    #[error("the body is too large")]
    TooLarge,
    /// The bodies that are being read take as many bytes as they may.
    #[error("The server is busy: it reads too many large bodies; try again later")]
    NoBytesLeft,
    /// It did not arrive.
    #[error(transparent)]
    Body(#[from] axum::Error),
}

/// The bytes that bodies may take together, beyond what is free.
#[derive(Debug)]
pub(super) struct BodyBudget(Arc<Semaphore>);

impl BodyBudget {
    pub(super) fn new(n_bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(n_bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// The same body, of which at most `max_bytes` are read. What it takes of the budget is given back when it is
    /// dropped.
    pub(super) fn charge(&self, body: Body, max_bytes: usize) -> Charged<'_> {
        Charged { body, budget: &self.0, max_bytes, n_read: 0, taken: None }
    }

    /// The same answer, which holds its bytes until its client has taken them; none when there are not as many left.
    pub(super) fn hold(&self, body: Body) -> Option<Body> {
        let n_bytes = usize::try_from(body.size_hint().lower()).ok()?;
        if n_bytes <= FREE_BYTES {
            return Some(body);
        }
        let taken = take(&self.0, n_bytes - FREE_BYTES)?;
        Some(Body::new(Held { body, rest: Bytes::new(), _taken: taken }))
    }
}

fn take(budget: &Arc<Semaphore>, n_bytes: usize) -> Option<OwnedSemaphorePermit> {
    let n_bytes = u32::try_from(n_bytes).ok()?;
    Arc::clone(budget).try_acquire_many_owned(n_bytes).ok()
}

#[derive(Debug)]
pub(super) struct Charged<'a> {
    body: Body,
    budget: &'a Arc<Semaphore>,
    max_bytes: usize,
    n_read: usize,
    taken: Option<OwnedSemaphorePermit>,
}

impl Charged<'_> {
    /// The whole body.
    pub(super) async fn read_whole(&mut self) -> Result<Bytes, ReadError> {
        let first = self.read_part().await?.unwrap_or_default();
        // Nearly all come in one part, which is not copied.
        if self.body.is_end_stream() {
            return Ok(first);
        }
        let Some(second) = self.read_part().await? else { return Ok(first) };
        let mut whole = Vec::from(first);
        whole.extend_from_slice(&second);
        while let Some(part) = self.read_part().await? {
            whole.extend_from_slice(&part);
        }
        Ok(whole.into())
    }

    async fn read_part(&mut self) -> Result<Option<Bytes>, ReadError> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(part) = frame?.into_data() {
                self.count(part.len())?;
                return Ok(Some(part));
            }
            // Trailers tell nothing that is asked for.
        }
        Ok(None)
    }

    fn count(&mut self, n_bytes: usize) -> Result<(), ReadError> {
        let n_charged = self.n_read.saturating_sub(FREE_BYTES);
        self.n_read = self.n_read.saturating_add(n_bytes);
        if self.n_read > self.max_bytes {
            return Err(ReadError::TooLarge);
        }
        let n_more = self.n_read.saturating_sub(FREE_BYTES) - n_charged;
        if n_more == 0 {
            return Ok(());
        }
        let more = take(self.budget, n_more).ok_or(ReadError::NoBytesLeft)?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Held {
    body: Body,
    /// What of the last part of `body` is not handed on yet.
    rest: Bytes,
    _taken: OwnedSemaphorePermit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(ctx)) else {
                return Poll::Ready(None);
            };
            match frame?.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let n_bytes = self.rest.len().min(PART_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(n_bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let n_bytes = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + n_bytes);
        }
        hint.set_lower(hint.lower() + n_bytes);
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const BUDGET: usize = 1000;

    fn body(n_bytes: usize) -> Body {
        Body::from(vec![b'x'; n_bytes])
    }

    #[tokio::test]
    async fn a_body_of_many_parts_is_read_whole_up_to_its_limit() {
        let budget = BodyBudget::new(BUDGET);
        for parts in [&["ab"][..], &["a", "b"], &["", "a", "", "b"], &["a", "b", ""]] {
            for max_bytes in [1, 2, 3] {
                let parts = parts.iter().map(|part| Ok::<_, Infallible>(*part));
                let body = Body::from_stream(futures_util::stream::iter(parts.collect::<Vec<_>>()));
                match budget.charge(body, max_bytes).read_whole().await {
                    Ok(whole) => assert!(max_bytes >= 2 && *whole == *b"ab", "{whole:?}"),
                    Err(error) => assert!(max_bytes == 1 && matches!(error, ReadError::TooLarge), "{error}"),
                }
            }
        }
        assert!(budget.charge(Body::empty(), 0).read_whole().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn large_bodies_share_a_budget_and_small_ones_need_none() {
        for (n_bytes, is_read) in [(BUDGET - 1, true), (BUDGET, true), (BUDGET + 1, false)] {
            let budget = BodyBudget::new(BUDGET);
            let charge = |n_bytes| budget.charge(body(n_bytes), usize::MAX);
            let mut first = charge(FREE_BYTES + n_bytes);
            assert_eq!(first.read_whole().await.is_ok(), is_read, "{n_bytes}");
            // As long as the first one is there.
            let left = if is_read { BUDGET - n_bytes } else { BUDGET };
            assert_eq!(charge(FREE_BYTES + left).read_whole().await.unwrap().len(), FREE_BYTES + left);
            let error = charge(FREE_BYTES + left + 1).read_whole().await.unwrap_err();
            assert!(matches!(error, ReadError::NoBytesLeft), "{error}");
            assert_eq!(charge(FREE_BYTES).read_whole().await.unwrap().len(), FREE_BYTES);
            drop(first);
            assert!(charge(FREE_BYTES + BUDGET).read_whole().await.is_ok());
        }
    }

    #[tokio::test]
    async fn large_answers_share_a_budget_until_they_are_taken() {
        for (n_bytes, is_kept) in [(BUDGET - 1, true), (BUDGET, true), (BUDGET + 1, false)] {
            let budget = BodyBudget::new(BUDGET);
            let held = budget.hold(body(FREE_BYTES + n_bytes));
            assert_eq!(held.is_some(), is_kept, "{n_bytes}");
            let Some(mut held) = held else { continue };
            assert_eq!(held.size_hint().exact(), Some((FREE_BYTES + n_bytes) as u64));
            let left = BUDGET - n_bytes;
            assert!(budget.hold(body(FREE_BYTES + left + 1)).is_none());
            assert!(
                budget.hold(body(FREE_BYTES + left)).is_some() && budget.hold(body(FREE_BYTES)).is_some()
            );
            // Nothing is given back before the last part.
            let mut n_taken = 0;
            while !held.is_end_stream() {
                assert!(budget.hold(body(FREE_BYTES + BUDGET)).is_none());
                let part = held.frame().await.unwrap().unwrap().into_data().unwrap();
                assert!(part.len() <= PART_BYTES && part.iter().all(|byte| *byte == b'x'));
                n_taken += part.len();
                let n_left = (FREE_BYTES + n_bytes - n_taken) as u64;
                assert_eq!(held.size_hint().exact(), Some(n_left));
            }
            assert_eq!(n_taken, FREE_BYTES + n_bytes);
            drop(held);
            assert!(budget.hold(body(FREE_BYTES + BUDGET)).is_some());
        }
    }
}
