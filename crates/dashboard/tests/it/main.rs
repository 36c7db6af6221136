//! The pages as they are sent, without a browser.

#[cfg(test)]
mod pages;
