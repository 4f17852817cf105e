//! How far jobs were woken that were put off for a setting, which may be another one now: a part at a time, each job once. A rule of
//! somebody's may put one off again at once.

/// Jobs up to this id.
#[derive(Clone, Copy, Debug)]
pub enum Woken {
    /// Of those that wait because the default zone was refused.
    OfZone(i64),
    /// Of those that wait because their mailbox has mailed as many as it may.
    Paced(i64),
}

impl Woken {
    pub fn none() -> Self {
        Self::OfZone(i64::MIN)
    }
}
