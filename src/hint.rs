//! What a person is told who has to put something right: what it means, and what to do.

use std::borrow::Cow;
use std::fmt;

/// In the program's own words, which hold nothing that anybody else said. As a text: `means: cure`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    pub means: Cow<'static, str>,
    /// None: there is nothing to do, or nothing is known.
    pub cure: Option<Cow<'static, str>>,
}

impl Hint {
    pub const fn new(means: &'static str, cure: &'static str) -> Self {
        Self { means: Cow::Borrowed(means), cure: Some(Cow::Borrowed(cure)) }
    }

    /// A whole sentence.
    pub const fn sentence(means: &'static str) -> Self {
        Self { means: Cow::Borrowed(means), cure: None }
    }

    /// With another sentence behind it.
    #[must_use]
    pub fn and(mut self, sentence: &str) -> Self {
        let last = self.cure.as_mut().unwrap_or(&mut self.means);
        *last = format!("{last} {sentence}").into();
        self
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.means)?;
        self.cure.as_ref().map_or(Ok(()), |cure| write!(f, ": {cure}"))
    }
}
