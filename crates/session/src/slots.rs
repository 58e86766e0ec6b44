//! Typed state of extensions, one value per type.

use std::any::{Any, TypeId};
use std::sync::Arc;

/// At most one value of each type. A handful of them, in a list: a scan beats a hash, and most
/// sessions and accounts have none, which costs them one pointer.
#[derive(Default)]
pub struct Slots {
    first: Option<Box<Slot>>,
}

struct Slot {
    kind: TypeId,
    value: Arc<dyn Any + Send + Sync>,
    next: Option<Box<Slot>>,
}

impl Slots {
    fn find(&self, kind: TypeId) -> Option<&Slot> {
        std::iter::successors(self.first.as_deref(), |slot| slot.next.as_deref())
            .find(|slot| slot.kind == kind)
    }

    /// The value of this type.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let slot = self.find(TypeId::of::<T>())?;
        Arc::clone(&slot.value).downcast::<T>().ok()
    }

    /// Whether there is a value of this type.
    pub fn has<T: Any>(&self) -> bool {
        self.find(TypeId::of::<T>()).is_some()
    }

    /// Puts the value in place of an earlier one of its type.
    pub fn set<T: Any + Send + Sync>(&mut self, value: T) {
        self.set_shared(Arc::new(value));
    }

    /// Like [`set`](Slots::set), for a value that is shared already.
    pub fn set_shared<T: Any + Send + Sync>(&mut self, value: Arc<T>) {
        let kind = TypeId::of::<T>();
        let mut at = &mut self.first;
        while let Some(slot) = at {
            if slot.kind == kind {
                slot.value = value;
                return;
            }
            at = &mut slot.next;
        }
        *at = Some(Box::new(Slot { kind, value, next: None }));
    }

    /// Takes the value of this type away; says whether there was one.
    pub fn remove<T: Any>(&mut self) -> bool {
        let kind = TypeId::of::<T>();
        let mut at = &mut self.first;
        loop {
            match at {
                None => return false,
                Some(slot) if slot.kind == kind => {
                    *at = slot.next.take();
                    return true;
                }
                Some(slot) => at = &mut slot.next,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_holds_one_value_of_each_type() {
        let mut slots = Slots::default();
        slots.set(1u32);
        slots.set("a");
        slots.set(2u32);
        assert_eq!(slots.get::<u32>().as_deref(), Some(&2));
        assert_eq!(slots.get::<&str>().as_deref(), Some(&"a"));
        assert!(slots.get::<u8>().is_none());
        assert!(slots.remove::<u32>());
        assert!(!slots.has::<u32>());
    }

    #[test]
    fn what_is_removed_leaves_the_others() {
        for removed in 0..3 {
            let mut slots = Slots::default();
            slots.set(1u8);
            slots.set(2u16);
            slots.set(3u32);
            let outcome = match removed {
                0 => slots.remove::<u8>(),
                1 => slots.remove::<u16>(),
                _ => slots.remove::<u32>(),
            };
            let left = (slots.has::<u8>(), slots.has::<u16>(), slots.has::<u32>());
            assert_eq!((outcome, left), (true, (removed != 0, removed != 1, removed != 2)));
            assert!(!slots.remove::<u64>());
        }
    }
}
