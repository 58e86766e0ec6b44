//! The public face of the crate, against bad inputs and against other parsers.

mod agreement;
mod bad_inputs;
mod corpus;
mod differential;
mod events;
mod expat;
mod generate;
mod reference;
mod roundtrip;
mod splits;
mod unframed;
