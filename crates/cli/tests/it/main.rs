//! The binary from outside: what it prints, refuses, keeps and survives.

#[cfg(test)]
mod command_line;
#[cfg(test)]
mod dev;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod doctor;
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
mod repeats;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod wire;
