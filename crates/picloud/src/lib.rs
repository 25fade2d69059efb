//! PiCloud's edges and wiring: HTTP, command line, configuration.

mod backups;
mod blobs;
pub mod cli;
pub mod client;
pub mod config;
mod dashboard;
mod data_dir;
mod dns;
mod http;
mod node;
mod one_each;
pub mod server;
mod tester;
mod traces;
pub mod watch;
