//! The API from outside: each test starts a server of its own on port 0, with
//! a fresh store, a fixed clock and seeded chance, and speaks HTTP to it. No
//! test sleeps.

#[cfg(test)]
mod access;
#[cfg(test)]
mod agents;
#[cfg(test)]
mod api_keys;
#[cfg(test)]
mod attachments;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod brokered;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod deliveries;
#[cfg(test)]
mod environment;
#[cfg(test)]
mod events;
#[cfg(test)]
mod fill_requests;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod key_links;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod members;
#[cfg(test)]
mod names;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod panic;
#[cfg(test)]
mod people;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod repeats;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod teams;
