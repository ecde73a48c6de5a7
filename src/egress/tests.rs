//! The client against real local servers.
