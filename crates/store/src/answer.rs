//! A future that is usually ready at once.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::StoreError;

type Waiting<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// The outcome of a store operation. Engines that have the answer at hand give it without an
/// allocation.
pub enum Answer<T> {
    /// It is here. Empty once it was taken.
    Ready(Option<Result<T, StoreError>>),
    /// It will come.
    Pending(Waiting<T>),
}

impl<T> Answer<T> {
    /// An answer at hand.
    pub fn ready(result: Result<T, StoreError>) -> Answer<T> {
        Answer::Ready(Some(result))
    }

    /// An answer that has to be waited for.
    pub fn pending(
        future: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Answer<T> {
        Answer::Pending(Box::pin(future))
    }
}

impl<T: Unpin> Future for Answer<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Answer::Ready(result) => {
                // Polled after it was ready: as forbidden as it is for any future.
                Poll::Ready(result.take().unwrap_or(Err(StoreError::Closed)))
            }
            Answer::Pending(future) => future.as_mut().poll(context),
        }
    }
}
