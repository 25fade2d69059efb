//! The sandbox through its public surface, with the guest that ships.

#[cfg(test)]
mod support;

#[cfg(test)]
mod depth;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod handler;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod limits;
