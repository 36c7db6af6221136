//! Lists whose pages are asked for by a limit and an offset, and which say how
//! many elements there are in all.

use serde_json::value::RawValue;

use crate::cli::client::Part;
use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::output;

/// A page with its elements as the server wrote them.
struct Page {
    elements: Vec<Box<RawValue>>,
    offset: u64,
    total: u64,
}

impl Page {
    fn read(answer: &Answer, field: &str) -> Result<Self, Failure> {
        Ok(Self {
            elements: answer.field(field)?,
            offset: answer.field("offset")?,
            total: answer.field("total")?,
        })
    }

    /// Where in the list the page ends.
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.elements.len() as u64)
    }

    /// The page as a server writes it.
    fn written(&self, field: &str) -> String {
        let texts: Vec<_> = self.elements.iter().map(|element| element.get()).collect();
        let Self { offset, total, .. } = self;
        let (elements, limit) = (texts.join(","), texts.len());
        format!(r#"{{"{field}":[{elements}],"total":{total},"limit":{limit},"offset":{offset}}}"#)
    }
}

/// The part of a list that was asked for: one page, or all from an offset on.
/// `field` is what the server calls the elements.
///
/// # Errors
/// When the server refuses, or answers with something else.
pub(super) async fn list(
    client: &Client,
    request: Request,
    part: &Part,
    field: &str,
) -> Result<Answer, Failure> {
    let request = request.query("limit", part.limit);
    let first = page(client, &request, part.offset.into()).await?;
    let seen = Page::read(&first, field)?;
    if seen.end() >= seen.total {
        return Ok(first);
    }
    if part.limit.is_none() {
        return Ok(first.joined(all(client, &request, seen, field).await?.written(field)));
    }
    let (shown, total) = (seen.elements.len(), seen.total);
    output::complain(&format!("note: {shown} of {total}; --limit and --offset show the others"));
    Ok(first)
}

async fn page(client: &Client, request: &Request, offset: u64) -> Result<Answer, Failure> {
    client.send(request.clone().query("offset", (offset > 0).then_some(offset))).await
}

/// Asks on until all are there.
async fn all(client: &Client, request: &Request, first: Page, field: &str) -> Result<Page, Failure> {
    let mut whole = first;
    while whole.end() < whole.total {
        let further = Page::read(&page(client, request, whole.end()).await?, field)?;
        if further.elements.is_empty() {
            break;
        }
        whole.elements.extend(further.elements);
    }
    Ok(whole)
}
