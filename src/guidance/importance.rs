use std::collections::BTreeMap;

use super::GuidanceError;

/// Attention mass that each visual token received, per attention layer. `[n_layer, n_visual]`
///
/// Layers carry the model's own layer index, because hybrid models have attention in some layers only. Per-layer rows
/// are kept beside the global sum for single-layer policies and for the heat map.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    n_visual: usize,
    layers: BTreeMap<u32, Vec<f64>>,
}

impl Importance {
    /// No mass yet on `n_visual` visual tokens, and no layers.
    pub fn new(n_visual: usize) -> Self {
        Self { n_visual, layers: BTreeMap::new() }
    }

    /// Adds the mass that some queries of one layer put on the visual tokens: `mass[v] = sum over h, q of a[l,h,q,v]`.
    ///
    /// `mass` is `[n_visual]`. Call it for the text after the last visual token and for every generated token that was
    /// fed back as a query; the last token of the answer never is.
    ///
    /// # Errors
    /// A row of another length, or a value that is negative or not finite; nothing is added then.
    pub fn add(&mut self, layer: u32, mass: &[f32]) -> Result<(), GuidanceError> {
        if mass.len() != self.n_visual {
            return Err(GuidanceError::MassLength { layer, n_visual: self.n_visual, found: mass.len() });
        }
        if let Some((token, &value)) = mass.iter().enumerate().find(|(_, value)| !(value.is_finite() && **value >= 0.0))
        {
            return Err(GuidanceError::MassValue { layer, token, value });
        }
        let sums = self.layers.entry(layer).or_insert_with(|| vec![0.0; self.n_visual]);
        accumulate(sums, mass.iter().map(|&value| f64::from(value)));
        Ok(())
    }

    /// The mass of one layer, `[n_visual]`; `None` if that layer has recorded nothing.
    pub fn layer(&self, layer: u32) -> Option<&[f64]> {
        self.layers.get(&layer).map(Vec::as_slice)
    }

    /// Every layer that has recorded mass, by increasing layer index, each `[n_visual]`.
    pub fn layers(&self) -> impl Iterator<Item = (u32, &[f64])> {
        self.layers.iter().map(|(&layer, mass)| (layer, mass.as_slice()))
    }

    /// The paper's global score `s[v]`: the sum over layers without any normalisation, `[n_visual]`.
    pub fn global(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.n_visual];
        for mass in self.layers.values() {
            accumulate(&mut sums, mass.iter().copied());
        }
        sums
    }

    /// Every layer's mass through `carry`, which gives `[n_to]` for `[n_visual]`: importance on the tokens of another
    /// model.
    pub fn carried(&self, n_to: usize, carry: impl Fn(&[f64]) -> Vec<f64>) -> Self {
        let layer = |(&layer, mass): (&u32, &Vec<f64>)| {
            let mut carried = carry(mass);
            carried.resize(n_to, 0.0);
            (layer, carried)
        };
        Self { n_visual: n_to, layers: self.layers.iter().map(layer).collect() }
    }

    /// V: visual tokens of the prompt, over all pictures and tiles.
    pub fn n_visual(&self) -> usize {
        self.n_visual
    }
}

fn accumulate(sums: &mut [f64], values: impl Iterator<Item = f64>) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sums_queries_within_a_layer_and_layers_globally() {
        let mut importance = Importance::new(3);
        importance.add(7, &[0.5, 0.25, 0.0]).unwrap();
        importance.add(3, &[1.0, 0.0, 2.0]).unwrap();
        importance.add(7, &[0.25, 0.25, 1.0]).unwrap();
        assert_eq!(importance.layer(7), Some(&[0.75, 0.5, 1.0][..]));
        assert_eq!(importance.layer(5), None);
        assert_eq!(importance.layers().map(|(layer, _)| layer).collect::<Vec<_>>(), [3, 7]);
        assert_eq!(importance.global(), [1.75, 0.5, 3.0]);
    }

    #[test]
    fn nothing_added_is_zero_everywhere() {
        assert_eq!(Importance::new(2).global(), [0.0, 0.0]);
        assert_eq!(Importance::new(2).layers().count(), 0);
        assert!(Importance::new(0).global().is_empty());
    }

    #[test]
    fn a_bad_row_is_refused_whole() {
        let mut importance = Importance::new(2);
        importance.add(0, &[1.0, 1.0]).unwrap();
        let before = importance.clone();
        assert_eq!(importance.add(1, &[1.0]), Err(GuidanceError::MassLength { layer: 1, n_visual: 2, found: 1 }));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.5] {
            let error = importance.add(0, &[1.0, bad]).unwrap_err();
            assert!(matches!(error, GuidanceError::MassValue { layer: 0, token: 1, .. }), "{error}");
        }
        assert_eq!(importance, before);
    }

    proptest! {
        #[test]
        fn the_order_of_adding_does_not_matter(
            rows in prop::collection::vec((0u32..4, prop::collection::vec(0f32..50.0, 5)), 0..12)
                .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        ) {
            let sum = |rows: &[(u32, Vec<f32>)]| {
                let mut importance = Importance::new(5);
                rows.iter().for_each(|(layer, mass)| importance.add(*layer, mass).unwrap());
                importance
            };
            let (one, other) = (sum(&rows.0), sum(&rows.1));
            prop_assert!(one.layers().map(|(layer, _)| layer).eq(other.layers().map(|(layer, _)| layer)));
            let pairs = one.layers().flat_map(|(_, mass)| mass).zip(other.layers().flat_map(|(_, mass)| mass));
            for (a, b) in pairs {
                prop_assert!((a - b).abs() <= 1e-12 * a.max(*b));
            }
        }
    }
}
