//! Whether a stream takes what could wait elsewhere.

/// Shut from the first delivery that was refused until whoever hands them over begins anew. Were it
/// open as soon as there is room, what is on its way would overtake what was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Gate {
    #[default]
    Open,
    /// Something was refused, and somebody waits to hear that there is room.
    Shut,
    /// Something was refused, and it was said that there is room.
    Told,
}

impl Gate {
    /// Whether a delivery may pass; one that may not shuts the gate.
    pub fn lets_pass(&mut self, is_full: bool) -> bool {
        if is_full || *self == Gate::Told {
            *self = Gate::Shut;
        }
        *self == Gate::Open
    }

    pub fn is_shut(self) -> bool {
        self != Gate::Open
    }

    /// Whether somebody waits to hear that there is room.
    pub fn owes_room(self) -> bool {
        self == Gate::Shut
    }
}
