//! The connections of a process: how many there may be, and how long each may take or be silent.
//!
//! The framework waits for a request as long as its client likes. So each connection is
//! watched from beneath, where its bytes come in, and from above, where its requests are answered.
//!
//! - [`open`]: the connections that are open, and how many there may be
//! - [`accepted`]: those that an acceptor brings
//! - [`pace`]: what a connection is waited for at this moment, and until when
//! - [`watched`]: the bytes of a connection, which end when it is over time
//! - [`paced`]: the requests of a connection, and the time that a body has

mod accepted;
mod open;
mod pace;
mod paced;
#[cfg(test)]
mod tests;
mod watched;

pub use open::Connections;
