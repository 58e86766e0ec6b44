//! Where a session's stream is.

/// The place of a stream on this node: a worker, a slot in its slab and the slot's generation.
///
/// Packs into 64 bits so that a session can change its address (resumption) without a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Index of the edge worker, below 2^12.
    pub worker: u16,
    /// Slot in the worker's slab, below 2^28.
    pub slot: u32,
    /// Generation of the slot, below 2^24: a reused slot is another address.
    pub generation: u32,
}

const SLOT_BITS: u32 = 28;
const GENERATION_BITS: u32 = 24;

impl Address {
    /// The address in 64 bits.
    pub fn to_bits(self) -> u64 {
        let slot = u64::from(self.slot) & ((1 << SLOT_BITS) - 1);
        let generation = u64::from(self.generation) & ((1 << GENERATION_BITS) - 1);
        (u64::from(self.worker) << (SLOT_BITS + GENERATION_BITS))
            | (slot << GENERATION_BITS)
            | generation
    }

    /// The address that [`to_bits`](Address::to_bits) packed.
    pub fn from_bits(bits: u64) -> Address {
        Address {
            worker: (bits >> (SLOT_BITS + GENERATION_BITS)) as u16,
            slot: ((bits >> GENERATION_BITS) & ((1 << SLOT_BITS) - 1)) as u32,
            generation: (bits & ((1 << GENERATION_BITS) - 1)) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_packing() {
        for address in [
            Address { worker: 0, slot: 0, generation: 0 },
            Address { worker: 4095, slot: (1 << 28) - 1, generation: (1 << 24) - 1 },
            Address { worker: 3, slot: 70_001, generation: 12 },
        ] {
            assert_eq!(Address::from_bits(address.to_bits()), address);
        }
    }
}
