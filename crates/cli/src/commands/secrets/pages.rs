//! Lists that come in pages.

use serde_json::value::RawValue;

use crate::client::{Answer, Client, Request};
use crate::failure::Failure;

/// Follows the pages to their end; together they are one array, each element as
/// the server wrote it. A list of one page is the server's own.
pub(super) async fn all(client: &Client, path: &str, first: Answer) -> Result<Answer, Failure> {
    let Some(mut next) = first.next() else { return Ok(first) };
    let mut elements: Vec<Box<RawValue>> = first.read()?;
    loop {
        let page = client.send(Request::get(path).queries(next.clone())).await?;
        elements.extend(page.read::<Vec<Box<RawValue>>>()?);
        match page.next() {
            None => break,
            Some(same) if same == next => {
                return Err(Failure::new("the server's list has no end: a page names itself as the next"));
            }
            Some(further) => next = further,
        }
    }
    let texts: Vec<_> = elements.iter().map(|element| element.get()).collect();
    Ok(first.joined(format!("[{}]", texts.join(","))))
}
