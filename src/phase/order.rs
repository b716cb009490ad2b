//! The order in which stdenv runs the phases of a package.

/// The attributes that make up the list of phases, as far as the package sets them.
///
/// A hook may add to any of these lists at build time; the stage runtime cuts the list it then finds by the same rules
/// (see [`crate::phase::assign`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhaseLists {
    /// `phases`: replaces the whole order where it is not empty.
    pub phases: Vec<String>,
    /// `prePhases`: before `unpackPhase`.
    pub pre_phases: Vec<String>,
    /// `preConfigurePhases`: between `patchPhase` and `configurePhase`.
    pub pre_configure: Vec<String>,
    /// `preBuildPhases`: between `configurePhase` and `buildPhase`.
    pub pre_build: Vec<String>,
    /// `preInstallPhases`: between `checkPhase` and `installPhase`.
    pub pre_install: Vec<String>,
    /// `preFixupPhases`: between `installPhase` and `fixupPhase`.
    pub pre_fixup: Vec<String>,
    /// `preDistPhases`: between `installCheckPhase` and `distPhase`.
    pub pre_dist: Vec<String>,
    /// `postPhases`: after `distPhase`.
    pub post_phases: Vec<String>,
}

impl PhaseLists {
    /// The list that an attribute of this name sets, `None` where the name is no list of phases.
    pub fn slot(&mut self, attribute: &str) -> Option<&mut Vec<String>> {
        Some(match attribute {
            "phases" => &mut self.phases,
            "prePhases" => &mut self.pre_phases,
            "preConfigurePhases" => &mut self.pre_configure,
            "preBuildPhases" => &mut self.pre_build,
            "preInstallPhases" => &mut self.pre_install,
            "preFixupPhases" => &mut self.pre_fixup,
            "preDistPhases" => &mut self.pre_dist,
            "postPhases" => &mut self.post_phases,
            _ => return None,
        })
    }

    /// All phases in the order in which `genericBuild` meets them.
    ///
    /// stdenv's `definePhases`: a `phases` that is set and not empty stands as it is, and the lists around it count for
    /// nothing then. Phases that `runPhase` will skip are in the list.
    pub fn expand(&self) -> Vec<String> {
        if !self.phases.is_empty() {
            return self.phases.clone();
        }
        let mut order = Vec::new();
        for (around, own) in [
            (&self.pre_phases, &["unpackPhase", "patchPhase"][..]),
            (&self.pre_configure, &["configurePhase"]),
            (&self.pre_build, &["buildPhase", "checkPhase"]),
            (&self.pre_install, &["installPhase"]),
            (&self.pre_fixup, &["fixupPhase", "installCheckPhase"]),
            (&self.pre_dist, &["distPhase"]),
            (&self.post_phases, &[]),
        ] {
            order.extend(around.iter().cloned());
            order.extend(own.iter().map(|phase| (*phase).to_owned()));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    fn set(pairs: &[(&str, &[&str])]) -> PhaseLists {
        let mut lists = PhaseLists::default();
        for (attribute, phases) in pairs {
            *lists.slot(attribute).expect("a list of phases") =
                phases.iter().map(|phase| (*phase).to_owned()).collect();
        }
        lists
    }

    #[test]
    fn the_default_order() {
        assert_eq!(
            PhaseLists::default().expand().join(" "),
            "unpackPhase patchPhase configurePhase buildPhase checkPhase installPhase fixupPhase installCheckPhase distPhase"
        );
    }

    #[test]
    fn every_list_has_its_place() {
        let lists = set(&[
            ("prePhases", &["a"]),
            ("preConfigurePhases", &["b", "c"]),
            ("preBuildPhases", &["d"]),
            ("preInstallPhases", &["e"]),
            ("preFixupPhases", &["f"]),
            ("preDistPhases", &["g"]),
            ("postPhases", &["h"]),
        ]);
        assert_eq!(
            lists.expand().join(" "),
            "a unpackPhase patchPhase b c configurePhase d buildPhase checkPhase e installPhase f fixupPhase \
             installCheckPhase g distPhase h"
        );
    }

    #[test]
    fn phases_replaces_all_and_an_empty_one_nothing() {
        let lists = set(&[("phases", &["unpackPhase", "installPhase"]), ("prePhases", &["a"])]);
        assert_eq!(lists.expand().join(" "), "unpackPhase installPhase");
        assert_eq!(set(&[("phases", &[])]).expand(), PhaseLists::default().expand());
    }
}
