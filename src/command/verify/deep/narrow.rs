//! Which of many candidates makes a difference: by trial, half of them at a time.

/// Narrows `all`, which together make the difference, down to one that does so alone, or to as few as `left` trials allow;
/// none where the difference is there without any of them. `left` counts down.
///
/// # Errors
/// Those of `test`.
pub fn narrow<T: Clone, E>(
    all: &[T],
    left: &mut usize,
    test: &mut dyn FnMut(&[T]) -> Result<bool, E>,
) -> Result<Option<Vec<T>>, E> {
    let mut ask = |some: &[T], left: &mut usize| {
        *left -= 1;
        test(some)
    };
    if *left == 0 {
        return Ok(Some(all.to_vec()));
    }
    if ask(&[], left)? {
        return Ok(None);
    }
    let mut rest = all.to_vec();
    while rest.len() > 1 && *left > 0 {
        let (one, other) = rest.split_at(rest.len() / 2);
        if ask(one, left)? {
            rest = one.to_vec();
        } else if *left > 0 && ask(other, left)? {
            rest = other.to_vec();
        } else {
            // Several make it together, or there is no trial left.
            break;
        }
    }
    Ok(Some(rest))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn of(all: usize, mut left: usize, test: &dyn Fn(&[usize]) -> bool) -> (Option<Vec<usize>>, usize) {
        let all: Vec<usize> = (0..all).collect();
        let found = narrow::<_, Infallible>(&all, &mut left, &mut |some| Ok(test(some)));
        (found.unwrap_or_else(|never| match never {}), left)
    }

    #[test]
    fn each_culprit_is_found_alone() {
        for culprit in 0..100 {
            assert_eq!(of(100, 20, &|some| some.contains(&culprit)).0, Some(vec![culprit]));
        }
        assert_eq!(of(1, 20, &|some| some.contains(&0)), (Some(vec![0]), 19));
    }

    #[test]
    fn what_is_there_without_any_has_no_culprit() {
        assert_eq!(of(100, 20, &|_| true), (None, 19));
    }

    #[test]
    fn two_that_only_act_together_and_few_trials_leave_more() {
        let (found, left) = of(8, 20, &|some| some.contains(&0) && some.contains(&1));
        assert_eq!((found, left), (Some(vec![0, 1]), 15));
        let (found, left) = of(100, 3, &|some| some.contains(&99));
        assert_eq!((found, left), (Some((50..100).collect()), 0));
        assert_eq!(of(3, 0, &|_| true), (Some(vec![0, 1, 2]), 0));
    }
}
