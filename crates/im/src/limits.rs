//! Bounds on what one account may make the server keep, each with its reason.

/// Contacts in a roster, unless the operator says otherwise ([`Config`](crate::Config)). The
/// roster is kept in memory while its account has a session and is sent as one stanza; people who
/// collect contacts for twenty years stay below a thousand. A new contact beyond it is refused
/// with `policy-violation`.
pub const ROSTER_ITEMS_MAX: usize = 2_000;

/// What the operator may allow at most: such a roster is a stanza of 2 MB, a quarter of what may
/// wait for one reader. It is also what is read from the store, so that a roster from before the
/// bound was lowered is still whole.
pub const ROSTER_ITEMS_CEILING: usize = 20_000;

/// Bytes of a handle. Beyond it: `not-acceptable` (RFC 6121 §2.3.3).
pub const NAME_BYTES_MAX: usize = 1_023;

/// Groups that one contact is in. Beyond it: `not-acceptable`.
pub const GROUPS_MAX: usize = 64;

/// Bytes of a group's name. Beyond it: `not-acceptable` (RFC 6121 §2.3.3).
pub const GROUP_BYTES_MAX: usize = 1_023;

/// Requests that wait for an answer. Strangers make them, so they are bounded apart from the
/// roster; the next one is refused with `resource-constraint` until the user has answered some.
pub const REQUESTS_MAX: usize = 200;

/// Bytes of a request that are kept (RFC 6121 §3.1.3 asks for all of it and warns of what that
/// allows). Of a larger one only the addresses are kept.
pub const REQUEST_BYTES_MAX: usize = 4_096;

/// Entities that a session has sent directed presence to: chat rooms, nearly all. One more is
/// refused with `resource-constraint`, since it could not be told when the session ends.
pub const DIRECTED_MAX: usize = 1_000;

/// Interim roster pushes in answer to a roster get (RFC 6121 §2.6.3). More changes than that are
/// cheaper told with the whole roster.
pub const INTERIM_PUSHES_MAX: usize = 32;

// Rows count texts in 16 bits.
const _: () = assert!(NAME_BYTES_MAX <= u16::MAX as usize && GROUP_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(GROUPS_MAX <= u16::MAX as usize);
