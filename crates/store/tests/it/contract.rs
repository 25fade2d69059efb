//! What every implementation of a port must do: one body per case, run on both
//! databases.

mod app;
mod execution;
mod kv;
mod kv_concurrency;
mod kv_keys;
mod release;
mod stores;
