//! Random ids that tell the row that they belong to.
//!
//! An index of random ids costs a page for each new entry, which is more than everything else that a new event costs. So
//! the first 48 bits of an id are the number of its row, hidden behind a mask that is made of the other bits, 74 of which
//! are random. The row holds the whole id, which is compared: a wrong id finds nothing.

use uuid::Uuid;

const ROW_BITS: u32 = 48;

/// A new id for a row. It looks like any other random UUID (version 4).
pub(crate) fn id_of(row: i64) -> Uuid {
    let random = Uuid::new_v4();
    let rest = random.as_u128() & (u128::MAX >> ROW_BITS);
    let row = u128::from(row.unsigned_abs() & (u64::MAX >> (u64::BITS - ROW_BITS)));
    Uuid::from_u128(rest | ((row ^ mask(rest)) << (u128::BITS - ROW_BITS)))
}

/// The row that an id belongs to, if it belongs to any.
pub(crate) fn row_of(id: Uuid) -> i64 {
    let rest = id.as_u128() & (u128::MAX >> ROW_BITS);
    let row = (id.as_u128() >> (u128::BITS - ROW_BITS)) ^ mask(rest);
    i64::try_from(row).unwrap_or_default()
}

/// Nobody has to be kept from finding the number: this only spreads ids as if they were random.
fn mask(rest: u128) -> u128 {
    // The finaliser of SplitMix64.
    let mut mixed = u64::try_from(rest & u128::from(u64::MAX)).unwrap_or_default();
    mixed ^= u64::try_from(rest >> u64::BITS).unwrap_or_default();
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u128::from((mixed ^ (mixed >> 31)) >> (u64::BITS - ROW_BITS))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_id_tells_its_row() {
        for row in [0, 1, 2, 1000, (1 << 48) - 1] {
            for _ in 0..100 {
                let id = id_of(row);
                assert_eq!(row_of(id), row);
                assert_eq!((id.get_version_num(), id.get_variant()), (4, uuid::Variant::RFC4122));
            }
        }
    }

    #[test]
    fn ids_are_random() {
        let ids: Vec<_> = (0..1000).map(id_of).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 1000);
        // Each bit that is not fixed is set about every other time: 500 +- 8 standard deviations.
        for bit in 0..128 {
            let set = ids.iter().filter(|id| id.as_u128() >> bit & 1 == 1).count();
            let fixed = (76..80).contains(&bit) || (62..64).contains(&bit);
            assert!(fixed || (374..626).contains(&set), "bit {bit} is set in {set} of 1000");
        }
    }

    #[test]
    fn any_uuid_has_a_row_that_can_be_asked_for() {
        for id in [Uuid::nil(), Uuid::max(), Uuid::new_v4()] {
            assert!((0..1 << 48).contains(&row_of(id)), "{id}");
        }
    }
}
