//! What every implementation of a port must do: one body per case, run on both
//! databases.

mod access;
mod app;
mod domain;
mod execution;
mod files;
mod kv;
mod kv_concurrency;
mod kv_keys;
mod outbox;
mod owner;
mod release;
mod schedule;
mod secrets;
mod stores;
mod usage;
