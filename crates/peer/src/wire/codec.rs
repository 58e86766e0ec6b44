//! How tonic reads and writes messages: as prost does, after a look at their number of fields.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::bounds::{self, CONTROL_BYTES_MAX, LINK_BYTES_MAX};
use super::v1;

/// The longest message of a type.
pub(crate) trait Limit {
    const BYTES_MAX: usize;
}

macro_rules! limits {
    ($($message:ident: $bytes_max:ident),* $(,)?) => {
        $(impl Limit for v1::$message {
            const BYTES_MAX: usize = $bytes_max;
        })*
    };
}

limits! {
    Upward: LINK_BYTES_MAX,
    Downward: LINK_BYTES_MAX,
    Control: CONTROL_BYTES_MAX,
    CallRequest: CONTROL_BYTES_MAX,
    CallReply: CONTROL_BYTES_MAX,
}

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
    U: Message + Default + Limit + Send + 'static,
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

impl<T, U: Message + Default + Limit> Decoder for Bounded<T, U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if message.remaining() > U::BYTES_MAX {
            return Err(Status::invalid_argument("a message is too long"));
        }
        // tonic has put the message together in one buffer before it asks.
        bounds::check(message.chunk()).map_err(|error| Status::invalid_argument(error.0))?;
        let decoded = U::decode(message).map_err(|_| Status::invalid_argument("no protobuf"))?;
        Ok(Some(decoded))
    }
}
