//! The transport over loopback: identity, versions, back-pressure, reconnection, and that the link
//! holds over it.

mod identity;
mod machines;
mod streams;
mod support;
