//! Where the run's placeholders stand in a request, and which of their values go in there.

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use strongroom_core::policies::{AuthScheme, BasicPart, Placement};

use super::encodings::{basic, form_decoded, halves, percent_decoded};
use super::{Injection, Injections, Spot, View, is_placed};
use crate::known::Found;
use crate::refuse::Refusal;

impl View<'_> {
    /// No rule puts a value into a path.
    pub(super) fn path(&self) -> Result<(), Refusal> {
        let decoded = percent_decoded(self.asked.path);
        match self.finder().first(&decoded) {
            Some(found) => Err(self.misplaced(found)),
            None => Ok(()),
        }
    }

    pub(super) fn query(&self, injections: &mut Injections) -> Result<(), Refusal> {
        let Some(query) = self.asked.query else { return Ok(()) };
        let mut start = 0;
        for pair in query.split('&') {
            injections.extend(self.pair(pair, start)?);
            start += pair.len() + 1;
        }
        Ok(())
    }

    fn pair(&self, pair: &str, start: usize) -> Result<Option<Injection>, Refusal> {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name_text, value_text) = (form_decoded(name), form_decoded(value));
        if let Some(found) = self.finder().first(&name_text) {
            return Err(self.misplaced(found));
        }
        let Some(found) = self.finder().first(&value_text) else { return Ok(None) };
        let fits = |placement: &Placement| matches!(placement, Placement::Query(own) if own.as_str().as_bytes() == &*name_text);
        let whole = self.finder().whole(&value_text);
        let placed = whole.and_then(|placeholder| Some((placeholder, self.granted(placeholder, fits)?)));
        let (placeholder, granted) = placed.ok_or_else(|| self.misplaced(found))?;
        let start = start + name.len() + 1;
        let spot = Spot::Query { start, end: start + value.len() };
        Ok(Some(Injection { granted, placeholder, spot }))
    }

    pub(super) fn headers(&self, injections: &mut Injections) -> Result<(), Refusal> {
        for (name, value) in self.asked.headers {
            if let Some(found) = self.finder().first(name.as_str().as_bytes()) {
                return Err(self.misplaced(found));
            }
            if let Some(found) = self.finder().first(value.as_bytes()) {
                injections.push(self.header(name, value, found)?);
            } else if let Some(encoded) = basic(value) {
                self.basic(name, &encoded, injections)?;
            }
        }
        Ok(())
    }

    fn header(&self, name: &HeaderName, value: &HeaderValue, found: Found) -> Result<Injection, Refusal> {
        let (before, after) = (value.as_bytes().get(..found.start), value.as_bytes().get(found.end..));
        let fits = |placement: &Placement| match placement {
            Placement::Header(own, scheme) => {
                own.as_str() == name.as_str()
                    && before.is_some_and(|before| is_scheme(before, scheme.as_ref().map(AuthScheme::as_str)))
            }
            _ => false,
        };
        let alone =
            after.is_some_and(<[u8]>::is_empty) && self.asked.headers.get_all(name).iter().count() == 1;
        let placed =
            found.which.filter(|_| alone).and_then(|which| Some((which, self.granted(which, fits)?)));
        let (placeholder, granted) = placed.ok_or_else(|| self.misplaced(found))?;
        Ok(Injection { granted, placeholder, spot: Spot::Header { name: name.clone(), behind: found.start } })
    }

    fn basic(&self, name: &HeaderName, encoded: &[u8], injections: &mut Injections) -> Result<(), Refusal> {
        let Some(found) = self.finder().first(encoded) else { return Ok(()) };
        let single = *name == AUTHORIZATION && self.asked.headers.get_all(name).iter().count() == 1;
        let Some((user, password)) = halves(encoded).filter(|_| single) else {
            return Err(self.misplaced(found));
        };
        for (part, text) in [(BasicPart::Username, user), (BasicPart::Password, password)] {
            let Some(found) = self.finder().first(text) else { continue };
            let fits = |placement: &Placement| matches!(placement, Placement::Basic(own) if *own == part);
            let whole = self.finder().whole(text);
            let placed = whole.and_then(|placeholder| Some((placeholder, self.granted(placeholder, fits)?)));
            let (placeholder, granted) = placed.ok_or_else(|| self.misplaced(found))?;
            injections.push(Injection { granted, placeholder, spot: Spot::Basic(part) });
        }
        Ok(())
    }

    /// Refuses placeholders that are encoded: no rule puts a value in such a place.
    pub(super) fn refuse_encoded(&self, injections: &[Injection]) -> Result<(), Refusal> {
        let mut finder = self.finder().scanner().finder();
        let mut hides = |text: &[u8]| finder.push(text) || finder.push(b"\n");
        let mut others = self.asked.headers.iter().filter(|(name, _)| !is_placed(injections, name));
        let mut from = 0;
        let mut hidden =
            others.any(|(_, value)| hides(value.as_bytes())) || hides(self.asked.path.as_bytes());
        let query = self.asked.query.unwrap_or_default();
        for injection in injections {
            if let Spot::Query { start, end } = injection.spot {
                hidden = hidden || query.get(from..start).is_some_and(|text| hides(text.as_bytes()));
                from = end;
            }
        }
        hidden = hidden || query.get(from..).is_some_and(|text| hides(text.as_bytes()));
        if hidden { Err(Refusal::Misplaced(None)) } else { Ok(()) }
    }
}

/// Whether this stands before a value that has this scheme: it and one space, in any case.
fn is_scheme(before: &[u8], scheme: Option<&str>) -> bool {
    match scheme {
        None => before.is_empty(),
        Some(scheme) => before
            .split_last()
            .is_some_and(|(last, own)| *last == b' ' && own.eq_ignore_ascii_case(scheme.as_bytes())),
    }
}
