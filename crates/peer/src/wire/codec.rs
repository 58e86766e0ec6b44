//! How tonic reads and writes messages: as prost does, after a look at their number of fields.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::bounds;

/// Sends `T`, receives `U`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounded<T, U>(PhantomData<fn(T) -> U>);

impl<T, U> Default for Bounded<T, U> {
    fn default() -> Self {
        Bounded(PhantomData)
    }
}

impl<T, U> Codec for Bounded<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Bounded<T, U>;
    type Decoder = Bounded<T, U>;

    fn encoder(&mut self) -> Self::Encoder {
        Bounded::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Bounded::default()
    }
}

impl<T: Message, U> Encoder for Bounded<T, U> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(out).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<T, U: Message + Default> Decoder for Bounded<T, U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // tonic has put the message together in one buffer before it asks.
        bounds::check(message.chunk()).map_err(|error| Status::invalid_argument(error.0))?;
        let decoded = U::decode(message).map_err(|_| Status::invalid_argument("no protobuf"))?;
        Ok(Some(decoded))
    }
}
