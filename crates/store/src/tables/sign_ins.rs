//! What people sign in with.

use super::{Cells, Columns, Malformed, Read, Record, Shape, Value, bytes, id, number};
use strongroom_core::rows::Row;
use strongroom_core::sealing::Sealed;
use strongroom_core::sign_ins::SignIn;
use strongroom_core::{SignInId, UserId};

impl Record for SignIn {
    fn shape() -> &'static Shape {
        static SHAPE: Shape = Shape::new(
            SignIn::TABLE,
            &[id("user_id")],
            &[id("id"), bytes("sealed"), number("created_at"), number("updated_at")],
        );
        &SHAPE
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            self.user_id.as_bytes().into(),
            self.id.as_bytes().into(),
            Value::bytes(self.sealed.as_bytes()),
            self.created_at.into(),
            self.updated_at.into(),
        ]
    }
}

impl Read for SignIn {
    fn read<'r>(columns: &mut Columns<'r, impl Cells<'r>>) -> Result<Self, Malformed> {
        Ok(Self {
            user_id: columns.id(UserId::from_slice)?,
            id: columns.id(SignInId::from_slice)?,
            sealed: columns.bytes(|sealed| Some(Sealed::from_bytes(sealed.to_vec())))?,
            created_at: columns.time()?,
            updated_at: columns.time()?,
        })
    }
}
