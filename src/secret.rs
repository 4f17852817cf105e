//! Secrets: text that cannot be printed, serialized or left behind in memory by accident.

use zeroize::Zeroizing;

/// A client secret, password or token. No `Display`, no `Serialize`; `Debug` says redacted; overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the one place that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_it() {
        let secret = Secret::new("hunter2".into());
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "[redacted] Some([redacted])");
        assert_eq!(format!("{secret:#?} {secret:10?}"), "[redacted] [redacted]");
    }

    /// What it held cannot be looked at afterwards without reading freed memory; that its type overwrites it can be said.
    #[test]
    fn what_it_holds_is_overwritten_when_dropped() {
        fn overwritten(_: &impl zeroize::ZeroizeOnDrop) {}
        overwritten(&Secret::new("hunter2".into()).0);
    }
}
