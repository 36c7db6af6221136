//! Attacks on the sealing, from outside the crate: another implementation,
//! bytes that were frozen, every flipped bit, every swap, repeated chance. And
//! the verbs of runs, over a store that forgets nothing. Whatever shows that something is refused also shows a careless reader that
//! takes it, so that the test could fail.

#[cfg(test)]
mod activity;
#[cfg(test)]
mod agents;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod broker;
#[cfg(test)]
mod commitment;
#[cfg(test)]
mod custody;
#[cfg(test)]
mod deliveries;
#[cfg(test)]
mod end_to_end;
#[cfg(test)]
mod events;
#[cfg(test)]
mod fill_requests;
#[cfg(test)]
mod flips;
#[cfg(test)]
mod independent;
#[cfg(test)]
mod instance;
#[cfg(test)]
mod memory_store;
#[cfg(test)]
mod panic;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod redactor;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod repeated_chance;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod row_macs;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod scanner;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod support;
#[cfg(test)]
mod unprintable;
#[cfg(test)]
mod vectors;
