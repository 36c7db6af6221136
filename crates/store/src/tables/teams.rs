//! Teams.

use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, id, number, text};
use strongroom_core::TeamId;
use strongroom_core::rows::Row;
use strongroom_core::teams::Team;
use strongroom_core::text::TeamName;

impl Record for Team {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            Team::TABLE,
            &[id("id")],
            &[
                text("name"),
                number("created_at"),
                number("deleted_at"),
                number("shredded_at"),
                number("fills_by_link_since"),
            ],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.id.as_bytes().into(),
            self.name.as_str().into(),
            self.created_at.into(),
            self.deleted_at.into(),
            self.shredded_at.into(),
            self.fills_by_link_since.into(),
        ]
    }
}

impl Read for Team {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            id: columns.id(TeamId::from_slice)?,
            name: columns.text(TeamName::parse)?,
            created_at: columns.time()?,
            deleted_at: columns.optional_time()?,
            shredded_at: columns.optional_time()?,
            fills_by_link_since: columns.optional_time()?,
        })
    }
}
