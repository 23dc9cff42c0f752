use super::{GuidanceError, Importance};

/// What policies rank visual tokens by; what none of them needs can be missing ([`super::Policy::needs_attention`] and
/// its neighbours say which need what).
#[derive(Debug, Clone, Copy, Default)]
pub struct Evidence<'a> {
    /// The guide's attention on the tokens.
    pub importance: Option<&'a Importance>,
    /// The tokens' embeddings in the model that will read them, `[n_visual][n_embd]`.
    pub embeddings: Option<&'a [&'a [f32]]>,
    /// Attention that the place of each token gets whatever is asked, relative to the others, above 0. `[n_visual]`
    pub expected: Option<&'a [f64]>,
}

impl Evidence<'_> {
    /// Whether it fits the number of visual tokens and can be reckoned with.
    pub(super) fn check(&self, n_visual: usize) -> Result<(), GuidanceError> {
        let counts = [
            ("importance", self.importance.map(Importance::n_visual)),
            ("embeddings", self.embeddings.map(<[_]>::len)),
            ("expectation", self.expected.map(<[_]>::len)),
        ];
        for (what, found) in counts {
            if let Some(found) = found.filter(|&found| found != n_visual) {
                return Err(GuidanceError::VisualCount { what, n_visual, found });
            }
        }
        let mut expected = self.expected.unwrap_or_default().iter().enumerate();
        match expected.find(|(_, value)| !(value.is_finite() && **value > 0.0)) {
            Some((token, &value)) => Err(GuidanceError::ExpectedValue { token, value }),
            None => Ok(()),
        }
    }
}

impl<'a> From<&'a Importance> for Evidence<'a> {
    fn from(importance: &'a Importance) -> Self {
        Self { importance: Some(importance), ..Self::default() }
    }
}
