//! The executor's policy, with a sandbox that runs closures and a store in memory.

#[cfg(test)]
mod outside;
#[cfg(test)]
mod support;

#[cfg(test)]
mod effects;
#[cfg(test)]
mod events;
#[cfg(test)]
mod executor;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod unit_of_work;
#[cfg(test)]
mod usage;
