//! What the broker does, from outside.

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod client;
#[cfg(test)]
mod connecting;
#[cfg(test)]
mod echo;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod host;
#[cfg(test)]
mod keeping;
#[cfg(test)]
mod large;
#[cfg(test)]
mod naming;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod placing;
#[cfg(test)]
mod recording;
#[cfg(test)]
mod redact;
#[cfg(test)]
mod redact_codings;
#[cfg(test)]
mod redact_reflection;
#[cfg(test)]
mod redact_websocket;
#[cfg(test)]
mod reflecting;
#[cfg(test)]
mod streaming;
