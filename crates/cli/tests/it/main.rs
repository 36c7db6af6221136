//! The binary from outside: what it prints, refuses, keeps and survives.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod client_agents;
#[cfg(test)]
mod client_end_to_end;
#[cfg(test)]
mod client_fill_requests;
#[cfg(test)]
mod client_login;
#[cfg(test)]
mod client_people;
#[cfg(test)]
mod client_policies;
#[cfg(test)]
mod client_runs;
#[cfg(test)]
mod client_secrets;
#[cfg(test)]
mod client_tls;
#[cfg(test)]
mod client_values;
#[cfg(test)]
mod client_wire;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod copy;
#[cfg(test)]
mod custody;
#[cfg(test)]
mod deliveries;
#[cfg(test)]
mod dev;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod init;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod load;
#[cfg(test)]
mod nginx;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod proxies;
#[cfg(test)]
mod record;
#[cfg(test)]
mod repeats;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod run;
#[cfg(test)]
mod run_broker;
#[cfg(test)]
mod run_lease;
#[cfg(test)]
mod run_masking;
#[cfg(test)]
mod run_signals;
#[cfg(test)]
mod run_terminal;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod sinks;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod traffic;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod wire;
