//! The API from outside: each test starts a server of its own on port 0, with
//! a fresh store, a fixed clock and seeded chance, and speaks HTTP to it. No
//! test sleeps.

#[cfg(test)]
mod access;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tampering;
