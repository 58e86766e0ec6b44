//! A full disk is a state that passes.

mod support;

use std::sync::atomic::Ordering;

use jackdaw_store::{Durability, Engine, StoreError};
use jackdaw_store_fjall::FjallEngine;

use support::{Store, delete, put, rows_of, wait_until};

#[test]
fn a_full_disk_refuses_new_rows_lets_old_ones_go_and_recovers_by_itself() {
    let store = Store::empty();
    let engine = FjallEngine::open(&store.options()).expect("opens");
    put(&engine, "before", Durability::Durable).expect("committed");
    put(&engine, "unwanted", Durability::Durable).expect("committed");
    store.free.store(0, Ordering::Relaxed);
    assert!(wait_until(|| engine.health() == Err(StoreError::Full)), "it says so");
    assert_eq!(put(&engine, "refused", Durability::Durable), Err(StoreError::Full));
    assert_eq!(put(&engine, "refused too", Durability::Fast), Err(StoreError::Full));
    assert_eq!(delete(&engine, "unwanted"), Ok(()), "rows can go");
    assert_eq!(rows_of(&engine), ["before"], "and be read");
    store.free.store(u64::MAX, Ordering::Relaxed);
    assert!(wait_until(|| engine.health() == Ok(())), "it recovers");
    put(&engine, "later", Durability::Durable).expect("committed");
    engine.close();
    drop(engine);
    let engine = FjallEngine::open(&store.options()).expect("opens");
    assert_eq!(rows_of(&engine), ["before", "later"]);
    engine.close();
}
