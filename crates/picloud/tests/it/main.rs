//! The real binary, end to end.

#[cfg(test)]
mod access;
#[cfg(test)]
mod accounts;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod control;
#[cfg(test)]
mod dashboard;
#[cfg(test)]
mod dev;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod domains;
#[cfg(test)]
mod drafts;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod edge;
#[cfg(test)]
mod error_pages;
#[cfg(test)]
mod events;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod files;
#[cfg(test)]
mod guides;
#[cfg(test)]
mod history;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod ingress;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod releases;
#[cfg(test)]
mod security;
#[cfg(test)]
mod services;
#[cfg(test)]
mod static_files;
#[cfg(test)]
mod support;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod usage;
#[cfg(test)]
mod views;
#[cfg(test)]
mod zone;
