//! Every small change of a genuine token is refused: no two texts are the same token.

use idnow_webhooks_core::keys::Algorithm;

use crate::{NOW, at, claims, genuine, key_for, policy, refused, refused_by, verify};

const REPLACEMENTS: &[u8] = b"A-_z09.=+/ \n\0\xff";

#[test]
fn every_change_of_one_character_is_refused() {
    let token = genuine().into_bytes();
    for position in 0..token.len() {
        let old = token[position];
        let near = [old ^ 1, old ^ 2, old ^ 0x20, old.wrapping_add(1)];
        for new in REPLACEMENTS.iter().copied().chain(near).filter(|new| *new != old) {
            let mut changed = token.clone();
            changed[position] = new;
            refused(&changed);
        }
    }
    verify(&token).unwrap();
}

#[test]
fn every_cut_insertion_doubling_and_swap_is_refused() {
    let token = genuine().into_bytes();
    for position in 0..token.len() {
        refused(&token[..position]);
        refused(&token[position + 1..]);
        let mut without = token.clone();
        without.remove(position);
        refused(&without);
        for new in [b'A', b'.', token[position]] {
            let mut longer = token.clone();
            longer.insert(position, new);
            refused(&longer);
        }
        if position > 0 && token[position] != token[position - 1] {
            let mut swapped = token.clone();
            swapped.swap(position, position - 1);
            refused(&swapped);
        }
    }
}

/// The short signatures of the other algorithms leave room to try every character at every place.
#[test]
fn short_signatures_have_one_spelling_only() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256] {
        let key = key_for(algorithm);
        let verifier = policy().algorithms([algorithm]).build().unwrap();
        let keys = key.key_set();
        let token = key.sign(&claims()).into_bytes();
        let start = token.iter().rposition(|byte| *byte == b'.').unwrap() + 1;
        // Verifying is slow in a debug build: every third place, and always the last two.
        let places = (start..token.len()).filter(|place| place % 3 == 0 || place + 2 >= token.len());
        for position in places {
            for new in ALPHABET.iter().copied().filter(|new| *new != token[position]) {
                let mut changed = token.clone();
                changed[position] = new;
                refused_by(&verifier, &changed, &keys, at(NOW));
            }
        }
        verifier.verify(&token, &keys, at(NOW)).unwrap();
    }
}
