//! Typed state of extensions, one value per type.

use std::any::{Any, TypeId};
use std::sync::Arc;

/// At most one value of each type. A handful of entries: a scan beats a hash.
#[derive(Default)]
pub struct Slots {
    values: Vec<(TypeId, Arc<dyn Any + Send + Sync>)>,
}

impl Slots {
    /// The value of this type.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let wanted = TypeId::of::<T>();
        let (_, value) = self.values.iter().find(|(id, _)| *id == wanted)?;
        Arc::clone(value).downcast::<T>().ok()
    }

    /// Whether there is a value of this type.
    pub fn has<T: Any>(&self) -> bool {
        let wanted = TypeId::of::<T>();
        self.values.iter().any(|(id, _)| *id == wanted)
    }

    /// Puts the value in place of an earlier one of its type.
    pub fn set<T: Any + Send + Sync>(&mut self, value: T) {
        self.set_shared(Arc::new(value));
    }

    /// Like [`set`](Slots::set), for a value that is shared already.
    pub fn set_shared<T: Any + Send + Sync>(&mut self, value: Arc<T>) {
        let wanted = TypeId::of::<T>();
        match self.values.iter_mut().find(|(id, _)| *id == wanted) {
            Some((_, slot)) => *slot = value,
            None => {
                self.values.reserve_exact(1);
                self.values.push((wanted, value));
            }
        }
    }

    /// Takes the value of this type away; says whether there was one.
    pub fn remove<T: Any>(&mut self) -> bool {
        let wanted = TypeId::of::<T>();
        let before = self.values.len();
        self.values.retain(|(id, _)| *id != wanted);
        self.values.len() != before
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
}
