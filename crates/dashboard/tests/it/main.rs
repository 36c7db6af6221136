//! The pages as they are sent, without a browser.

#[cfg(test)]
mod fill;
#[cfg(test)]
mod instance;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod runs;
