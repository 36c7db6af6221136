//! The pages as they are sent, without a browser.

#[cfg(test)]
mod fill;
#[cfg(test)]
mod pages;
