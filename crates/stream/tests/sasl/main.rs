//! SASL exchanges from the first message to the last, against a small client of our own.

mod client;
mod exchanges;
mod failures;
mod fast;
mod hostile;
mod server;
