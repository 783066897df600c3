//! Several stores on one file, and anything in any order.

use std::collections::{BTreeMap, HashSet};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_ids_from_two_stores_while_both_merge() {
    const IDS: usize = 2000;
    let place = Place::new();
    let stores = [place.store(FEW).await, place.store(FEW * 4).await];
    let callers: Vec<_> = (0..16)
        .map(|caller| {
            let store = stores[caller % 2].clone();
            tokio::spawn(async move {
                let mut new = 0;
                for number in 0..IDS {
                    let number = (number * 7 + caller * 250) % IDS;
                    new += usize::from(store.insert(event(&id(number))).await.unwrap() == Insertion::New);
                }
                new
            })
        })
        .collect();
    let mut new = 0;
    for caller in callers {
        new += caller.await.unwrap();
    }
    assert_eq!(new, IDS);
    assert_eq!(stores[0].backlog().await.unwrap().waiting, IDS as u64);
    assert_sound(&place).await;
    assert!(place.merged().await > 0);
}

/// Any calls in any order on two stores, either of which may be opened anew.
#[tokio::test]
async fn against_a_model() {
    for seed in 0..6_u64 {
        let place = Place::new();
        let sizes = [MANY, FEW, 1];
        let size = |number: usize| sizes[number % sizes.len()];
        let mut chance = seed;
        let mut below = |end: usize| {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(chance >> 33).unwrap() % end
        };
        let mut stores = [place.store(size(below(3))).await, place.store(size(below(3))).await];
        let mut known: BTreeMap<String, EventState> = BTreeMap::new();
        let mut leases: Vec<Lease> = Vec::new();
        for _ in 0..300 {
            let which = below(2);
            let store = &stores[which];
            let number = below(60);
            match below(16) {
                0..5 => {
                    let insertion = store.insert(event(&id(number))).await.unwrap();
                    let expected = known.insert(id(number), EventState::Waiting);
                    assert_eq!(insertion == Insertion::New, expected.is_none(), "{number}");
                    known.insert(id(number), expected.unwrap_or(EventState::Waiting));
                }
                5 => {
                    let numbers: Vec<_> = (number..number + 10).chain(number..number + 3).collect();
                    let insertions = insert_at_once(store, numbers.clone()).await;
                    let mut new = HashSet::new();
                    for (number, insertion) in numbers.into_iter().zip(insertions) {
                        let is_new = !known.contains_key(&id(number));
                        if insertion == Insertion::New {
                            assert!(is_new && new.insert(number), "{number}");
                        }
                    }
                    for number in number..number + 10 {
                        assert_eq!(new.contains(&number), !known.contains_key(&id(number)), "{number}");
                        known.entry(id(number)).or_insert(EventState::Waiting);
                    }
                }
                6..9 => {
                    for lease in claim(store, below(8)).await {
                        let state = known.insert(lease.event_id.to_string(), EventState::Running);
                        assert_eq!(state, Some(EventState::Waiting));
                        leases.push(lease);
                    }
                }
                9..13 if !leases.is_empty() => {
                    let lease = leases.swap_remove(below(leases.len()));
                    store.complete(&lease).await.unwrap();
                    known.insert(lease.event_id.to_string(), EventState::Completed);
                }
                13 => {
                    let finished = known.values().filter(|state| **state == EventState::Completed).count();
                    let forgotten = forget(store, 10).await;
                    assert_eq!(forgotten, finished.min(10));
                    let left =
                        store.list(&EventFilter { limit: 1000, ..EventFilter::default() }).await.unwrap();
                    let left: HashSet<_> = left.into_iter().map(|event| event.id).collect();
                    known.retain(|id, _| left.contains(id));
                    assert_eq!(known.len(), left.len());
                }
                14 => stores[which] = place.store(size(number)).await,
                _ => {
                    let state = store.get(&id(number)).await.unwrap().map(|event| event.state);
                    assert_eq!(state, known.get(&id(number)).copied());
                }
            }
            assert_sound(&place).await;
        }
    }
}
