//! Edits and settings: of two that race, one is told.

use occupancy::edit::{Change, Edit, Note};

use super::{Subject, at};
use crate::{AppendError, Edits, Settings, Store};

pub(super) fn edit(writer: usize, n: usize) -> Edit {
    let note = Note { reason: "miscounted".to_owned(), by: n.is_multiple_of(2).then(|| "ann".to_owned()) };
    let change = Change::Retraction { id: format!("c{writer}-{n}").parse().unwrap(), note };
    Edit { made_at: at(9, 1), change }
}

/// Appends after whatever others appended, trying until it is in.
async fn append_all(store: &dyn Store, writer: usize) {
    for n in 0..5 {
        let mut revision = store.since(0).await.unwrap().len() as u64;
        while let Err(error) = store.append(revision, &edit(writer, n)).await {
            match error {
                AppendError::Behind { expected, found } if expected == revision && found > expected => revision = found,
                other => panic!("{other}"),
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Writers that race all get in, one after the other, and the log reads the same from any revision.
pub async fn edits_are_compared_and_set(subject: &mut impl Subject) {
    let store = subject.store();
    let [a, b, c] = [edit(9, 0), edit(9, 1), edit(9, 2)];
    let (first, second, third) = tokio::join!(store.append(0, &a), store.append(0, &b), store.append(0, &c));
    let outcomes = [first, second, third];
    let behind = Err(AppendError::Behind { expected: 0, found: 1 });
    let count = |outcome| outcomes.iter().filter(|one| **one == outcome).count();
    assert_eq!((count(Ok(())), count(behind)), (1, 2), "{outcomes:?}");
    assert_eq!(store.append(5, &a).await, Err(AppendError::Behind { expected: 5, found: 1 }));
    tokio::join!(append_all(store, 0), append_all(store, 1), append_all(store, 2));
    subject.restart().await;
    let all = subject.store().since(0).await.unwrap();
    assert_eq!(all.len(), 16);
    for writer in 0..3 {
        let mine: Vec<_> = (0..5).map(|n| edit(writer, n)).collect();
        assert_eq!(all.iter().filter(|edit| mine.contains(edit)).cloned().collect::<Vec<_>>(), mine);
    }
    for revision in 0..20 {
        let skip = usize::try_from(revision).unwrap();
        assert_eq!(subject.store().since(revision).await.unwrap(), all.iter().skip(skip).cloned().collect::<Vec<_>>());
    }
    assert_eq!(subject.store().since(u64::MAX).await, Ok(vec![]));
}

/// Settings change only from what the writer saw.
pub async fn settings_are_compared_and_set(subject: &mut impl Subject) {
    let store: &dyn Edits = subject.store();
    let old = Settings::default();
    let of = |epoch| Settings { cluster_id: Some("k".to_owned()), partitions: Some(12), epoch, first_start_done: true, copying_from: None };
    let [a, b, c] = [1, 2, 3].map(of);
    let (first, second, third) = tokio::join!(store.put_settings(&old, &a), store.put_settings(&old, &b), store.put_settings(&old, &c));
    let outcomes = [first.unwrap(), second.unwrap(), third.unwrap()];
    assert_eq!(outcomes.iter().filter(|done| **done).count(), 1, "{outcomes:?}");
    let won = [a, b, c].into_iter().zip(outcomes).find(|(_, done)| *done).map(|(settings, _)| settings).unwrap();
    subject.restart().await;
    assert_eq!(subject.store().settings().await.unwrap(), won);
    let next = Settings { epoch: 9, ..won.clone() };
    assert_eq!(subject.store().put_settings(&old, &next).await, Ok(false));
    assert_eq!(subject.store().put_settings(&won, &next).await, Ok(true));
    assert_eq!(subject.store().settings().await, Ok(next));
}
