//! Where rows are kept. Nothing here knows a plaintext or a key: what comes in
//! is sealed and has its MAC already.

pub mod backup;
pub mod copy;
pub mod postgres;
pub mod sqlite;

mod query;
mod tables;
