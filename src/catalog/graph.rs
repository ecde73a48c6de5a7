//! The order of a workflow: a topological sort, or the cycle that forbids one.

/// `after[i]` are the nodes that must be done before node `i`. Gives an order in
/// which each node comes after those; equal ranks keep their order in the recipe.
///
/// # Errors
/// The nodes of one cycle, each waiting for the next, the last for the first.
pub fn order(after: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut waiting: Vec<usize> = after.iter().map(Vec::len).collect();
    let mut done = Vec::with_capacity(after.len());
    let dependents = dependents(after);
    let mut ready: std::collections::BTreeSet<usize> = (0..after.len()).filter(|node| waiting[*node] == 0).collect();
    while let Some(node) = ready.pop_first() {
        done.push(node);
        for dependent in &dependents[node] {
            waiting[*dependent] -= 1;
            if waiting[*dependent] == 0 {
                ready.insert(*dependent);
            }
        }
    }
    if done.len() == after.len() { Ok(done) } else { Err(cycle(after, &waiting)) }
}

/// The other direction: which nodes wait for each.
#[must_use]
pub fn dependents(after: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut dependents = vec![Vec::new(); after.len()];
    for (node, needs) in after.iter().enumerate() {
        for need in needs {
            dependents[*need].push(node);
        }
    }
    dependents
}

/// Everything that is done before each node, itself left out unless it is in a cycle.
#[must_use]
pub fn ancestors(after: &[Vec<usize>]) -> Vec<Vec<bool>> {
    let walk = |node: usize| {
        let mut seen = vec![false; after.len()];
        let mut stack = after[node].clone();
        while let Some(next) = stack.pop() {
            if !std::mem::replace(&mut seen[next], true) {
                stack.extend(&after[next]);
            }
        }
        seen
    };
    (0..after.len()).map(walk).collect()
}

/// Follows waiting nodes until one comes again. Each has a waiting one before it.
fn cycle(after: &[Vec<usize>], waiting: &[usize]) -> Vec<usize> {
    let mut way: Vec<usize> = Vec::new();
    let mut next = waiting.iter().position(|count| *count > 0);
    while let Some(node) = next {
        if let Some(start) = way.iter().position(|seen| *seen == node) {
            return way.split_off(start);
        }
        way.push(node);
        next = after[node].iter().copied().find(|need| waiting[*need] > 0);
    }
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_named_without_what_hangs_on_it() {
        // 3 waits for 0, and 0 -> 2 -> 1 -> 0 wait for one another.
        let mut cycle = order(&[vec![2], vec![0], vec![1], vec![0]]).unwrap_err();
        cycle.sort_unstable();
        assert_eq!(cycle, [0, 1, 2]);
        assert_eq!(order(&[vec![0]]).unwrap_err(), [0]);
    }

    #[test]
    fn a_diamond_keeps_the_order_of_the_recipe() {
        let after = [vec![], vec![0], vec![0], vec![1, 2]];
        assert_eq!(order(&after).unwrap(), [0, 1, 2, 3]);
        assert_eq!(dependents(&after), [vec![1, 2], vec![3], vec![3], vec![]]);
        assert_eq!(ancestors(&after)[3], [true, true, true, false]);
    }

    proptest::proptest! {
        #[test]
        fn each_node_comes_after_what_it_needs(edges in proptest::collection::vec((0..20_usize, 0..20_usize), 0..60)) {
            let mut after = vec![Vec::new(); 20];
            for (a, b) in edges {
                if !after[a].contains(&b) {
                    after[a].push(b);
                }
            }
            match order(&after) {
                Ok(order) => {
                    let place = |node: usize| order.iter().position(|n| *n == node).unwrap();
                    for (node, needs) in after.iter().enumerate() {
                        for need in needs {
                            proptest::prop_assert!(place(*need) < place(node));
                        }
                    }
                }
                Err(cycle) => {
                    for (position, node) in cycle.iter().enumerate() {
                        proptest::prop_assert!(after[*node].contains(&cycle[(position + 1) % cycle.len()]));
                    }
                }
            }
        }
    }
}
