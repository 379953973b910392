//! placeholder for the client
