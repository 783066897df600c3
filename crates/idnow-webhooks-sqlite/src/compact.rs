//! Ids, stored as small as possible: a B-tree of random keys costs by its size.

use std::sync::Arc;

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{Sqlite, SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Type, TypeInfo, ValueRef};

const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// An id: a UUID in its usual form takes 16 bytes, anything else is text.
/// Ordered as SQLite orders them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Compact {
    Text(Arc<str>),
    Uuid([u8; 16]),
}

impl Compact {
    pub(crate) fn new(id: &str) -> Self {
        uuid(id).map_or_else(|| Self::Text(id.into()), Self::Uuid)
    }

    pub(crate) fn expand(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            Self::Uuid(bytes) => {
                let mut text = String::with_capacity(36);
                for (index, byte) in bytes.iter().enumerate() {
                    if matches!(index, 4 | 6 | 8 | 10) {
                        text.push('-');
                    }
                    for digit in [byte >> 4, byte & 15] {
                        text.push(char::from_digit(digit.into(), 16).unwrap_or_default());
                    }
                }
                text
            }
        }
    }
}

/// Only the form that [`Compact::expand`] gives back: another spelling is another id.
fn uuid(id: &str) -> Option<[u8; 16]> {
    let id: &[u8; 36] = id.as_bytes().try_into().ok()?;
    let mut bytes = [0; 16];
    let mut digits = 0;
    for (index, byte) in id.iter().enumerate() {
        if HYPHENS.contains(&index) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        let place: &mut u8 = bytes.get_mut(digits / 2)?;
        *place = *place << 4 | digit;
        digits += 1;
    }
    Some(bytes)
}

impl Type<Sqlite> for Compact {
    fn type_info() -> SqliteTypeInfo {
        <Vec<u8> as Type<Sqlite>>::type_info()
    }

    fn compatible(info: &SqliteTypeInfo) -> bool {
        <Vec<u8> as Type<Sqlite>>::compatible(info)
    }
}

impl Encode<'_, Sqlite> for Compact {
    fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        match self {
            Self::Uuid(bytes) => <&[u8] as Encode<'_, Sqlite>>::encode(bytes, buffer),
            Self::Text(text) => <Arc<str> as Encode<'_, Sqlite>>::encode(Arc::clone(text), buffer),
        }
    }
}

impl<'r> Decode<'r, Sqlite> for Compact {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        let blob = value.type_info().name() == "BLOB";
        if blob {
            let bytes = <&[u8] as Decode<'r, Sqlite>>::decode(value)?;
            return Ok(Self::Uuid(bytes.try_into()?));
        }
        Ok(Self::Text(<&str as Decode<'r, Sqlite>>::decode(value)?.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_uuids_are_small_and_everything_else_is_text() {
        let usual = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert!(matches!(Compact::new(usual), Compact::Uuid([0x0f, 0x8f, .., 0x0e])));
        assert_eq!(Compact::new(usual).expand(), usual);
        for id in [
            "",
            "a",
            "0F8FAD5B-D9CB-469F-A165-70867728950E",
            "0f8fad5bd9cb469fa16570867728950e",
            "0f8fad5b-d9cb-469f-a165-70867728950g",
            "0f8fad5b-d9cb-469f-a165_70867728950e",
            "{f8fad5b-d9cb-469f-a165-70867728950}",
            "äf8fad5b-d9cb-469f-a165-70867728950",
        ] {
            assert_eq!(Compact::new(id), Compact::Text(id.into()));
            assert_eq!(Compact::new(id).expand(), id);
        }
    }
}
