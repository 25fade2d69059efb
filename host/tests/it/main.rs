//! The sandbox through its public surface, with the guest that ships.

mod support;

mod engine;
mod handler;
mod hostile;
mod isolation;
mod limits;
