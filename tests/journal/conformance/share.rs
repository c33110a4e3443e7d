//! Several handles, as several processes have them, and many callers at once.

use std::collections::HashSet;
use std::sync::Arc;

use relight::journal::{Error, Payload, Signal, Wake};

use crate::store::Journal;
use crate::support::{
    AGENT, T0, completed, leased, new_task, news, runner, started, task_completed, task_id,
};

pub(crate) async fn each_handle_sees_the_tasks_of_the_other(journal: &dyn Journal) {
    let (here, there) = (journal.open(), journal.open());
    let lease = leased(&*here, new_task(1), runner(1)).await;
    assert!(there.task(task_id(1)).await.unwrap().is_some());
    assert_eq!(there.claim_one(runner(2), task_id(1), T0).await.unwrap(), None);
    there.signal(task_id(1), Signal::Cancel { reason: None }, T0).await.unwrap();
    assert_eq!(here.nudged(runner(1)).await.unwrap(), [(task_id(1), 1)]);

    // Whoever holds the lease may append through either; the next lease fences both.
    here.append(&lease, vec![started(1, "a", 1)], None).await.unwrap();
    there.append(&lease, vec![completed(2, "a", Payload::null())], None).await.unwrap();
    here.release(&lease, Wake::Now, 1).await.unwrap();
    let next = there.claim_one(runner(2), task_id(1), T0).await.unwrap().unwrap();
    let refused = here.append(&lease, vec![started(3, "b", 1)], None).await;
    assert!(matches!(refused, Err(Error::LeaseLost { .. })), "{refused:?}");
    there.append(&next, vec![task_completed(3)], None).await.unwrap();
    assert!(here.end(task_id(1)).await.unwrap().is_some());
}

pub(crate) async fn of_two_claimers_one_wins(journal: &dyn Journal) {
    const TASKS: usize = 40;
    let handles = [journal.open(), journal.open()];
    for n in 0..TASKS {
        handles[n % 2].create(new_task(n as u128)).await.unwrap();
    }
    let claimers = [1, 2].map(|n| {
        let store = Arc::clone(&handles[usize::try_from(n).unwrap() - 1]);
        tokio::spawn(async move {
            store.renew(runner(n), T0 + 60_000).await.unwrap();
            let mut mine = Vec::new();
            loop {
                let leases = store.claim(runner(n), &[AGENT.to_owned()], T0, 3).await.unwrap();
                if leases.is_empty() {
                    return mine;
                }
                mine.extend(leases);
            }
        })
    });
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    let tasks: HashSet<_> = all.iter().map(|lease| lease.task).collect();
    assert_eq!((all.len(), tasks.len()), (TASKS, TASKS));
    assert!(all.iter().all(|lease| lease.epoch == 1));
}

pub(crate) async fn watchers_are_told_by_every_handle(journal: &dyn Journal) {
    let (here, there) = (journal.open(), journal.open());
    let mut changes = here.changes();
    for writer in [&here, &there] {
        let n = if Arc::ptr_eq(writer, &here) { 1 } else { 2 };
        changes.mark_unchanged();
        let before = *changes.borrow();
        writer.create(new_task(n)).await.unwrap();
        if n == 1 {
            assert!(*changes.borrow() > before, "counted before the writer is answered");
        }
        news(&mut changes).await;

        changes.mark_unchanged();
        writer.signal(task_id(n), Signal::Cancel { reason: None }, T0).await.unwrap();
        news(&mut changes).await;

        let lease = leased(&**writer, new_task(n), runner(1)).await;
        changes.mark_unchanged();
        writer.append(&lease, vec![], Some("charging".to_owned())).await.unwrap();
        news(&mut changes).await;

        changes.mark_unchanged();
        writer.release(&lease, Wake::OnSignal, 1).await.unwrap();
        news(&mut changes).await;

        let lease = writer.claim_one(runner(1), task_id(n), T0).await.unwrap().unwrap();
        changes.mark_unchanged();
        writer.append(&lease, vec![task_completed(1)], None).await.unwrap();
        news(&mut changes).await;
    }
}

pub(crate) async fn many_tasks_append_side_by_side(journal: &dyn Journal) {
    const TASKS: u128 = 64;
    const STEPS: u64 = 5;
    let store = journal.open();
    let mut callers = Vec::new();
    for n in 0..TASKS {
        let store = Arc::clone(&store);
        callers.push(tokio::spawn(async move {
            let lease = leased(&*store, new_task(n), runner(1)).await;
            for step in 0..STEPS {
                let key = format!("step-{step}");
                let records = vec![
                    started(2 * step + 1, &key, 1),
                    completed(2 * step + 2, &key, Payload::of(&(n, step)).unwrap()),
                ];
                store.append(&lease, records, None).await.unwrap();
                // One that is refused does not disturb the others of its group.
                let gap = store.append(&lease, vec![started(99, "gap", 1)], None).await;
                assert!(matches!(gap, Err(Error::Gap { seq: 99, .. })), "{gap:?}");
            }
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    for n in 0..TASKS {
        let history = store.history(task_id(n), 1).await.unwrap();
        let expected: Vec<_> = (0..STEPS)
            .flat_map(|step| {
                let key = format!("step-{step}");
                let output = Payload::of(&(n, step)).unwrap();
                [started(2 * step + 1, &key, 1), completed(2 * step + 2, &key, output)]
            })
            .collect();
        assert_eq!(history, expected);
    }
}

pub(crate) async fn what_was_accepted_is_written_before_closing(journal: &dyn Journal) {
    let store = journal.open();
    let creates: Vec<_> = (0..50)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.create(new_task(n)).await })
        })
        .collect();
    store.close().await;
    let mut made = Vec::new();
    for (n, create) in (0..).zip(creates) {
        match create.await.unwrap() {
            Ok(created) => made.push(created.id()),
            Err(error) => assert!(matches!(error, Error::Closed), "{n}: {error}"),
        }
    }
    assert!(matches!(store.create(new_task(77)).await, Err(Error::Closed)));
    assert!(matches!(store.task(task_id(0)).await, Err(Error::Closed)));
    store.close().await;

    let again = journal.open();
    for id in made {
        assert!(again.task(id).await.unwrap().is_some());
    }
}
