//! A bound on the bytes of all bodies that are being read.
//!
//! A limit for each body bounds nothing as long as many clients send most of one and then wait.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So much of each body is free, so that those who send large ones do not keep out those who send small ones.
const FREE_BYTES: usize = 64 * 1024;

/// The bodies that are being read take as many bytes as they may.
#[derive(Debug, thiserror::Error)]
#[error("The server is busy: it reads too many large bodies; try again later")]
pub(super) struct NoBytesLeft;

/// The bytes that bodies may take together, beyond what is free.
#[derive(Debug)]
pub(super) struct BodyBudget(Arc<Semaphore>);

impl BodyBudget {
    pub(super) fn new(n_bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(n_bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// The same body, which fails with [`NoBytesLeft`] as soon as it needs more than there is. What it took is given
    /// back when it is dropped.
    pub(super) fn charge(&self, body: Body) -> Charged {
        Charged { body, budget: Arc::clone(&self.0), n_read: 0, taken: None }
    }
}

#[derive(Debug)]
pub(super) struct Charged {
    body: Body,
    budget: Arc<Semaphore>,
    n_read: usize,
    taken: Option<OwnedSemaphorePermit>,
}

impl Charged {
    fn read(&mut self, n_bytes: usize) -> Result<(), NoBytesLeft> {
        let n_charged = self.n_read.saturating_sub(FREE_BYTES);
        self.n_read = self.n_read.saturating_add(n_bytes);
        let n_more = self.n_read.saturating_sub(FREE_BYTES) - n_charged;
        if n_more == 0 {
            return Ok(());
        }
        let n_more = u32::try_from(n_more).map_err(|_| NoBytesLeft)?;
        let more = Arc::clone(&self.budget).try_acquire_many_owned(n_more).map_err(|_| NoBytesLeft)?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }
}

impl HttpBody for Charged {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(ctx);
        polled.map(|frame| match frame? {
            Ok(frame) => {
                let n_bytes = frame.data_ref().map_or(0, Bytes::len);
                Some(self.read(n_bytes).map(|()| frame).map_err(Into::into))
            }
            Err(error) => Some(Err(error.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    const BUDGET: usize = 1000;

    async fn read(charged: &mut Charged) -> Result<usize, Box<dyn Error + Send + Sync>> {
        let mut n_bytes = 0;
        while let Some(frame) = charged.frame().await {
            n_bytes += frame?.into_data().map_or(0, |data| data.len());
        }
        Ok(n_bytes)
    }

    fn body(n_bytes: usize) -> Body {
        Body::from(vec![b'x'; n_bytes])
    }

    #[tokio::test]
    async fn large_bodies_share_a_budget_and_small_ones_need_none() {
        for (n_bytes, is_read) in [(BUDGET - 1, true), (BUDGET, true), (BUDGET + 1, false)] {
            let budget = BodyBudget::new(BUDGET);
            let mut first = budget.charge(body(FREE_BYTES + n_bytes));
            assert_eq!(read(&mut first).await.is_ok(), is_read, "{n_bytes}");
            // As long as the first one is there.
            let left = if is_read { BUDGET - n_bytes } else { BUDGET };
            assert_eq!(read(&mut budget.charge(body(FREE_BYTES + left))).await.unwrap(), FREE_BYTES + left);
            let error = read(&mut budget.charge(body(FREE_BYTES + left + 1))).await.unwrap_err();
            assert!(error.is::<NoBytesLeft>(), "{error}");
            assert_eq!(read(&mut budget.charge(body(FREE_BYTES))).await.unwrap(), FREE_BYTES);
            drop(first);
            assert!(read(&mut budget.charge(body(FREE_BYTES + BUDGET))).await.is_ok());
        }
    }
}
