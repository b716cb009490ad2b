//! What a restore tells of: sentences in order, and not without end.

/// So many are told; of a million files without their setuid bits the rest is counted.
const TOLD: usize = 1000;

/// The first sentences of all, in their order.
#[derive(Default)]
pub struct Notices {
    first: Vec<String>,
    more: usize,
}

impl Notices {
    /// Adds one.
    pub fn push(&mut self, notice: String) {
        self.first.push(notice);
        if self.first.len() >= 2 * TOLD {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.first.sort();
        self.more += self.first.len().saturating_sub(TOLD);
        self.first.truncate(TOLD);
    }

    /// Adds all of another.
    pub fn append(&mut self, other: Self) {
        self.more += other.more;
        other.first.into_iter().for_each(|notice| self.push(notice));
    }

    /// All to be told, in order.
    pub fn told(mut self) -> Vec<String> {
        self.cut();
        if self.more > 0 {
            self.first.push(format!("and the same of {} more", self.more));
        }
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_told_and_the_rest_is_counted() {
        let mut all = Notices::default();
        let mut other = Notices::default();
        for number in (0..5000).rev() {
            let notices = if number % 3 == 0 { &mut other } else { &mut all };
            notices.push(format!("{number:04}"));
        }
        all.append(other);
        let told = all.told();
        assert_eq!((told.len(), &told[0][..], &told[TOLD - 1][..]), (TOLD + 1, "0000", "0999"));
        assert_eq!(told[TOLD], "and the same of 4000 more");
    }
}
