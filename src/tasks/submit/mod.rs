//! From a request to a durable row and a ticket.
pub mod store;
