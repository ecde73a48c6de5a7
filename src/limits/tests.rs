//! The parts that need no Redis; `tests/integration/rate_limits.rs` has the others.

use std::time::Duration;

use tokio::time::advance;
use uuid::Uuid;

use super::{
    bucket::Bucket,
    local::Local,
    slice::{Held, Taken},
};
use crate::base::network;

#[tokio::test(start_paused = true)]
async fn without_redis_a_process_gives_out_a_quarter() {
    let local = Local::default();
    let (ana, bob) = (Bucket::Caller(Uuid::from_u128(1)), Bucket::Caller(Uuid::from_u128(2)));
    let agency = Bucket::Agency(Uuid::from_u128(3));
    let take = |who, requests| local.take(&[(who, 240), (agency, 400)], requests);
    assert_eq!(take(ana, 60), Ok(()), "a quarter of 240 at once");
    assert_eq!(take(ana, 1), Err(Duration::from_secs(1)), "one a second from then on");
    assert_eq!(take(bob, 40), Ok(()), "what the agency has left of its hundred");
    let wait = take(bob, 1).unwrap_err();
    assert!(wait > Duration::ZERO && wait < Duration::from_secs(1), "{wait:?}");
    advance(Duration::from_secs(1)).await;
    assert_eq!(take(ana, 1), Ok(()));
    assert!(take(ana, 1).is_err());
    advance(Duration::from_mins(2)).await;
    assert!(take(ana, 60).is_ok() && take(ana, 1).is_err(), "no more than a minute's worth is saved up");
    advance(Duration::from_mins(2)).await;
    assert!(take(bob, 5_000).is_ok(), "a batch beyond the limit takes all of it");
}

#[tokio::test(start_paused = true)]
async fn a_slice_grows_with_its_use_and_is_given_up_soon() {
    let held = Held::default();
    assert_eq!((held.take(1), held.next_slice(100_000)), (None, 1));
    let mut sizes = Vec::new();
    for _ in 0..12 {
        let size = held.next_slice(100_000);
        sizes.push(size);
        held.refill(size, size);
        for _ in 0..size {
            assert_eq!(held.take(1), Some(Taken::Granted));
        }
        assert_eq!(held.take(1), None);
    }
    assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000]);
    assert_eq!(held.next_slice(600), 12, "a small limit has small slices");
    held.refill(100, 100);
    assert_eq!(held.take(7), Some(Taken::Granted));
    advance(Duration::from_secs(1)).await;
    assert_eq!((held.take(1), held.next_slice(100_000)), (None, 7), "as many as were used");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_for_a_moment() {
    let held = Held::default();
    held.refill(0, 1);
    held.refuse(Duration::from_secs(9));
    assert_eq!(held.take(1), Some(Taken::Refused(Duration::from_secs(1))));
    advance(Duration::from_secs(1)).await;
    assert_eq!(held.take(1), None);
}

#[test]
fn an_ipv6_client_is_its_network() {
    for (address, counted) in [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
    ] {
        assert_eq!(network::subscriber(address.parse().unwrap()).to_string(), counted, "{address}");
    }
}
