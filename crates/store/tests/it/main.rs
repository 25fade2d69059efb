//! The stores, through their ports, on real databases.

#[cfg(test)]
mod backup;
#[cfg(test)]
mod contents;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod sqlite;
#[cfg(test)]
mod support;
