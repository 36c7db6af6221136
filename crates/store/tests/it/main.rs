//! The store from outside. (`cfg(test)` tells the linter that these are tests.)

#[cfg(test)]
mod audit;
#[cfg(test)]
mod events;
#[cfg(test)]
mod fill_requests;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod people;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod purge;
#[cfg(test)]
mod support;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod writes;
