//! One statement for the rows of many agencies, which enters the context of each by turns.
//!
//! A function of the definer's compares what it is given with the context. A batch that
//! many agencies share goes through it agency by agency, and all the same in one round trip:
//!
//! ```sql
//! select r.* from unnest($2::uuid[], $3::int[], $4::int[]) a (agency, first, last)
//!  cross join lateral (select set_config('app.agency_id', a.agency::text, true)) c (entered)
//!  cross join lateral app.f(case when c.entered is not null then ($1)[a.first:a.last] end) r
//! ```
//!
//! The argument has to name `entered`: so the call cannot be made before the context is set.
//! The setting ends with the statement's transaction.

use uuid::Uuid;

/// The parts of a list that is sorted by agency, as three columns: whose it is, and the
/// places of its first and its last item, counted from 1.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parts {
    pub agencies: Vec<Uuid>,
    pub first: Vec<i32>,
    pub last: Vec<i32>,
}

impl Parts {
    /// Of the agencies of a list's items, in the list's order.
    pub fn of(agencies: impl IntoIterator<Item = Uuid>) -> Self {
        let mut parts = Self::default();
        for (place, agency) in (1..).zip(agencies) {
            match (parts.agencies.last(), parts.last.last_mut()) {
                (Some(same), Some(last)) if *same == agency => *last = place,
                _ => {
                    parts.agencies.push(agency);
                    parts.first.push(place);
                    parts.last.push(place);
                }
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_agencys_items_are_one_part() {
        let [one, other] = [1, 2].map(Uuid::from_u128);
        assert_eq!(Parts::of([]), Parts::default());
        let parts = Parts::of([one, one, other, one]);
        assert_eq!(parts, Parts { agencies: vec![one, other, one], first: vec![1, 3, 4], last: vec![2, 3, 4] });
    }
}
