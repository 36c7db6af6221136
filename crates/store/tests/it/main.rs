//! The store from outside. (`cfg(test)` tells the linter that these are tests.)

#[cfg(test)]
mod opening;
