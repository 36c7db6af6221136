//! The front as a client meets it: raw sockets against a listening front, and
//! what crossed the wire.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod descriptors;
#[cfg(test)]
mod floods;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod heads;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod http2_floods;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod keep_alive;
#[cfg(test)]
mod proxies;
#[cfg(test)]
mod raw_http2;
#[cfg(test)]
mod service;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod timers;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tls_clients;
