//! What every engine has to do alike. An engine's own tests call [`run`] and, if it lasts,
//! [`reopening`].

use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use jackdaw_jid::BareJid;

use crate::{Batch, Durability, Engine, Fence, Fenced, ItemRange, StoreError, Table};

const TABLE: Table = Table::new("conformance");
const OTHER: Table = Table::new("conformance_other");

/// How long a commit may take before the suite calls it lost.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on this thread; tests of stores need no runtime.
pub fn wait<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn account(name: &str) -> BareJid {
    BareJid::parse(name).expect("a JID")
}

fn put(engine: &dyn Engine, table: Table, of: &BareJid, item: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(table, of, item, Bytes::copy_from_slice(value));
    wait(engine.commit(batch, Durability::Durable)).expect("committed");
}

fn items(engine: &dyn Engine, of: &BareJid, range: ItemRange) -> Vec<Vec<u8>> {
    let rows = wait(engine.list(TABLE, of, range)).expect("listed");
    rows.into_iter().map(|row| row.item.to_vec()).collect()
}

/// The whole suite; `open` gives an empty engine each time.
pub fn run(open: &dyn Fn() -> Arc<dyn Engine>) {
    rows_are_told_apart(&*open());
    items_are_listed_in_byte_order(&*open());
    accounts_are_paged(&*open());
    a_batch_is_all_or_nothing(&*open());
    requirements_decide_races(&open());
    clearing_spares_others(&*open());
    large_values_survive(&*open());
    every_commit_is_answered_once(&open());
    a_closed_engine_says_so(&*open());
}

fn rows_are_told_apart(engine: &dyn Engine) {
    let (a, ab, b) = (account("a@x"), account("ab@x"), account("x"));
    put(engine, TABLE, &a, b"b@x", b"1");
    put(engine, TABLE, &ab, b"@x", b"2");
    put(engine, TABLE, &b, b"", b"3");
    put(engine, OTHER, &a, b"b@x", b"4");
    let get = |table, of: &BareJid, item: &[u8]| {
        wait(engine.get(table, of, item)).expect("read").map(|v| v.to_vec())
    };
    assert_eq!(get(TABLE, &a, b"b@x"), Some(b"1".to_vec()));
    assert_eq!(get(TABLE, &ab, b"@x"), Some(b"2".to_vec()));
    assert_eq!(get(TABLE, &b, b""), Some(b"3".to_vec()));
    assert_eq!(get(OTHER, &a, b"b@x"), Some(b"4".to_vec()));
    assert_eq!(get(TABLE, &a, b""), None);
    put(engine, TABLE, &a, b"b@x", b"5");
    assert_eq!(get(TABLE, &a, b"b@x"), Some(b"5".to_vec()), "a put replaces");
}

fn items_are_listed_in_byte_order(engine: &dyn Engine) {
    let of = account("order@x");
    let wanted: Vec<Vec<u8>> =
        vec![vec![], vec![0], vec![0, 0], vec![0, 255], vec![1], b"a".to_vec(), vec![255, 255]];
    for item in wanted.iter().rev() {
        put(engine, TABLE, &of, item, b"v");
    }
    put(engine, TABLE, &account("ordes@x"), b"a", b"v");
    put(engine, TABLE, &account("a@x"), b"a", b"v");
    assert_eq!(items(engine, &of, ItemRange::first(100)), wanted);
    assert_eq!(items(engine, &of, ItemRange::first(2)), wanted[..2]);
    assert_eq!(items(engine, &of, ItemRange::after([0], 3)), wanted[2..5]);
    assert_eq!(items(engine, &of, ItemRange::after([255, 255], 3)), Vec::<Vec<u8>>::new());
    let backwards: Vec<_> = wanted.iter().rev().cloned().collect();
    assert_eq!(items(engine, &of, ItemRange::last(100)), backwards);
    let down = ItemRange { after: Some(Bytes::from_static(b"a")), limit: 2, is_reversed: true };
    assert_eq!(items(engine, &of, down), backwards[2..4]);
}

fn accounts_are_paged(engine: &dyn Engine) {
    let names = ["a.example", "a@example", "a@example.org", "b@example", "z@example"];
    for name in names {
        put(engine, TABLE, &account(name), b"1", b"");
        put(engine, TABLE, &account(name), b"2", b"");
    }
    put(engine, OTHER, &account("c@example"), b"1", b"");
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    let mut found: Vec<BareJid> = Vec::new();
    loop {
        let page = wait(engine.accounts(TABLE, found.last(), 2)).expect("paged");
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        found.extend(page);
    }
    assert_eq!(found.iter().map(BareJid::as_str).collect::<Vec<_>>(), sorted);
}

fn a_batch_is_all_or_nothing(engine: &dyn Engine) {
    let of = account("batch@x");
    put(engine, TABLE, &of, b"there", b"1");
    let mut batch = Batch::new();
    batch.put(TABLE, &of, b"new", &b"1"[..]);
    batch.require_absent(TABLE, &of, b"there");
    let refused = wait(engine.commit(batch, Durability::Durable));
    assert_eq!(refused, Err(StoreError::Conflict));
    assert_eq!(items(engine, &of, ItemRange::first(9)), [b"there".to_vec()]);
    let mut batch = Batch::new();
    batch.require_value(TABLE, &of, b"there", &b"1"[..]);
    batch.delete(TABLE, &of, b"there");
    batch.put(TABLE, &of, b"new", &b"1"[..]);
    batch.put(TABLE, &of, b"newer", &b"1"[..]);
    batch.delete(TABLE, &of, b"newer");
    assert_eq!(wait(engine.commit(batch, Durability::Fast)), Ok(()));
    assert_eq!(items(engine, &of, ItemRange::first(9)), [b"new".to_vec()]);
}

fn requirements_decide_races(engine: &Arc<dyn Engine>) {
    const RIVALS: usize = 8;
    let of = account("race@x");
    let winners = std::thread::scope(|scope| {
        let rivals: Vec<_> = (0..RIVALS)
            .map(|rival| {
                let (engine, of) = (Arc::clone(engine), of.clone());
                scope.spawn(move || {
                    let mut batch = Batch::new();
                    batch.require_absent(TABLE, &of, b"one");
                    batch.put(TABLE, &of, b"one", vec![rival as u8]);
                    wait(engine.commit(batch, Durability::Durable)).is_ok()
                })
            })
            .collect();
        rivals.into_iter().filter_map(|rival| rival.join().ok()).filter(|won| *won).count()
    });
    assert_eq!(winners, 1);
}

fn clearing_spares_others(engine: &dyn Engine) {
    let (of, other) = (account("a@x"), account("aa@x"));
    for item in [&b""[..], b"1", b"2"] {
        put(engine, TABLE, &of, item, b"");
        put(engine, TABLE, &other, item, b"");
    }
    put(engine, OTHER, &of, b"1", b"");
    let mut batch = Batch::new();
    batch.put(TABLE, &of, b"3", Bytes::new());
    batch.clear(TABLE, &of);
    batch.put(TABLE, &of, b"4", Bytes::new());
    wait(engine.commit(batch, Durability::Durable)).expect("committed");
    assert_eq!(items(engine, &of, ItemRange::first(9)), [b"4".to_vec()]);
    assert_eq!(items(engine, &other, ItemRange::first(9)).len(), 3);
    assert!(wait(engine.get(OTHER, &of, b"1")).expect("read").is_some());
}

fn large_values_survive(engine: &dyn Engine) {
    let of = account("large@x");
    let value: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    put(engine, TABLE, &of, b"large", &value);
    assert_eq!(wait(engine.get(TABLE, &of, b"large")).expect("read").expect("there"), value);
}

fn every_commit_is_answered_once(engine: &Arc<dyn Engine>) {
    const COMMITS: u32 = 2000;
    let (sender, answers) = mpsc::channel();
    for n in 0..COMMITS {
        let mut batch = Batch::new();
        batch.put(TABLE, &account("many@x"), &n.to_be_bytes(), Bytes::new());
        let sender = sender.clone();
        let durability = if n % 2 == 0 { Durability::Durable } else { Durability::Fast };
        let done = move |result| sender.send((n, result)).expect("the test listens");
        engine.commit_then(batch, durability, Box::new(done));
    }
    drop(sender);
    engine.close();
    let mut seen = vec![0u32; COMMITS as usize];
    while let Ok((n, result)) = answers.recv_timeout(PATIENCE) {
        assert!(matches!(result, Ok(()) | Err(StoreError::Busy)), "{result:?}");
        seen[n as usize] += 1;
    }
    assert!(seen.iter().all(|count| *count == 1), "each exactly once");
}

fn a_closed_engine_says_so(engine: &dyn Engine) {
    assert_eq!(engine.health(), Ok(()));
    engine.close();
    assert_eq!(engine.health(), Err(StoreError::Closed));
    let mut batch = Batch::new();
    batch.put(TABLE, &account("late@x"), b"", Bytes::new());
    assert_eq!(wait(engine.commit(batch, Durability::Durable)), Err(StoreError::Closed));
}

/// For engines that several nodes use: `open` gives two on the same rows, which are empty.
pub fn fencing(open: &dyn Fn() -> [Arc<dyn Fenced>; 2]) {
    later_owners_keep_former_ones_out(&open());
    a_stale_batch_does_not_hinder_others(&open());
    claims_only_raise(&open());
}

fn fenced(item: &[u8], fences: &[Fence]) -> Batch {
    let mut batch = Batch::new();
    batch.put(TABLE, &account("fenced@x"), item, Bytes::new());
    fences.iter().for_each(|fence| batch.fence(*fence));
    batch
}

fn later_owners_keep_former_ones_out([old, new]: &[Arc<dyn Fenced>; 2]) {
    let (of, before, after) =
        (account("fenced@x"), Fence { shard: 7, epoch: 5 }, Fence { shard: 7, epoch: 9 });
    let commit = |engine: &Arc<dyn Fenced>, item: &[u8], fence| {
        wait(engine.commit(fenced(item, &[fence]), Durability::Durable))
    };
    assert_eq!(wait(old.claim(&[before])), Ok(vec![before]));
    assert_eq!(commit(old, b"1", before), Ok(()));
    assert_eq!(wait(new.claim(&[after])), Ok(vec![after]));
    assert_eq!(commit(old, b"2", before), Err(StoreError::Fenced));
    assert_eq!(commit(new, b"3", after), Ok(()));
    assert_eq!(items(&**new, &of, ItemRange::first(9)), [b"1".to_vec(), b"3".to_vec()]);
    // Batches that look at rows are no exception.
    let mut looking = fenced(b"4", &[before]);
    looking.require_absent(TABLE, &of, b"4");
    assert_eq!(wait(old.commit(looking, Durability::Durable)), Err(StoreError::Fenced));
    assert_eq!(items(&**new, &of, ItemRange::first(9)).len(), 2);
}

fn a_stale_batch_does_not_hinder_others([old, new]: &[Arc<dyn Fenced>; 2]) {
    const BATCHES: u16 = 200;
    let fence = |shard, epoch| Fence { shard, epoch };
    let all: Vec<Fence> = (0..BATCHES).map(|shard| fence(shard, 5)).collect();
    assert_eq!(wait(old.claim(&all)), Ok(all.clone()));
    let lost: Vec<Fence> = (0..BATCHES).step_by(3).map(|shard| fence(shard, 6)).collect();
    assert_eq!(wait(new.claim(&lost)), Ok(lost));
    // Handed over together, so that the engine commits them together.
    let commits: Vec<_> = all
        .iter()
        .map(|fence| old.commit(fenced(&fence.shard.to_be_bytes(), &[*fence]), Durability::Durable))
        .collect();
    for (shard, commit) in (0..BATCHES).zip(commits) {
        let expected = if shard % 3 == 0 { Err(StoreError::Fenced) } else { Ok(()) };
        assert_eq!(wait(commit), expected, "shard {shard}");
        let row = wait(old.get(TABLE, &account("fenced@x"), &shard.to_be_bytes())).expect("read");
        assert_eq!(row.is_some(), shard % 3 != 0, "shard {shard}");
    }
}

fn claims_only_raise([old, new]: &[Arc<dyn Fenced>; 2]) {
    let fence = |shard, epoch| Fence { shard, epoch };
    assert_eq!(wait(new.claim(&[fence(1, 9)])), Ok(vec![fence(1, 9)]));
    let claimed = wait(old.claim(&[fence(2, 5), fence(1, 5)]));
    assert_eq!(claimed, Ok(vec![fence(2, 5), fence(1, 9)]), "shard 1 is somebody else's");
    assert_eq!(wait(new.claim(&[fence(1, 9)])), Ok(vec![fence(1, 9)]), "again is no harm");
    assert_eq!(wait(old.claim(&[])), Ok(Vec::new()));
}

/// For engines that last: what was committed durably is there when the directory is opened again.
pub fn reopening(open: &dyn Fn() -> Arc<dyn Engine>) {
    let of = account("lasting@x");
    let engine = open();
    put(&*engine, TABLE, &of, b"kept", b"1");
    put(&*engine, TABLE, &of, b"gone", b"1");
    let mut batch = Batch::new();
    batch.delete(TABLE, &of, b"gone");
    wait(engine.commit(batch, Durability::Durable)).expect("committed");
    engine.close();
    drop(engine);
    let engine = open();
    assert_eq!(items(&*engine, &of, ItemRange::first(9)), [b"kept".to_vec()]);
    engine.close();
}
