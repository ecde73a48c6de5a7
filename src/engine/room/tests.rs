//! What runs may hold: of one, of an agency, of a process.

use futures::FutureExt;

use super::*;

const MIB: usize = 1024 * 1024;

fn agency(n: u128) -> AgencyId {
    AgencyId(uuid::Uuid::from_u128(n))
}

#[test]
fn a_run_holds_no_more_than_its_bound_and_gives_back_what_it_lets_go_of() {
    let rooms = Arc::new(Rooms::default());
    let room = Room::new(&rooms, agency(1));
    let mut first = room.hold(90 * MIB).unwrap();
    assert_eq!(room.hold(23 * MIB).unwrap_err(), Short::Run);
    assert!(room.is_over() && !room.is_short());
    first.shrink(50 * MIB);
    let second = room.hold(62 * MIB).unwrap();
    drop((first, second));
    assert_eq!((*room.held.lock().unwrap(), rooms.taken.lock().unwrap().total), (Sums::default(), 0));
    assert!(rooms.taken.lock().unwrap().by.is_empty(), "who holds nothing is forgotten");
}

#[tokio::test]
async fn work_waits_for_the_work_before_it_and_a_run_alone_for_nobody() {
    let rooms = Arc::new(Rooms::default());
    let room = Room::new(&rooms, agency(1));
    let first = room.pass(15 * MIB).await.unwrap();
    assert!(room.pass(2 * MIB).now_or_never().is_none(), "it has to wait");
    drop(first);
    let _kept = room.hold(112 * MIB).unwrap();
    drop(room.pass(16 * MIB).await.unwrap());
    assert_eq!(room.pass(17 * MIB).await.unwrap_err(), Short::Run, "it would wait for ever");
}

/// A value that waits to be written is counted too, with room of its own or with that of its work.
#[tokio::test]
async fn what_came_of_work_has_its_room_until_it_is_written() {
    let rooms = Arc::new(Rooms::default());
    let (one, two) = (Room::new(&rooms, agency(1)), Room::new(&rooms, agency(1)));
    let total = || rooms.taken.lock().unwrap().total / MIB;
    let mut first = one.pass(100 * MIB).await.unwrap();
    let mut second = two.pass(28 * MIB).await.unwrap();
    let kept = first.keep(50 * MIB).unwrap();
    drop(first);
    assert_eq!(total(), 77);
    let others = one.hold(50 * MIB).unwrap();
    assert_eq!(second.keep(60 * MIB).unwrap_err(), Short::Process);
    assert_eq!(total(), 127, "it has the room of its work");
    drop((second, kept, others));
    assert_eq!((total(), *one.held.lock().unwrap(), *two.held.lock().unwrap()), (0, Sums::default(), Sums::default()));
}

#[test]
fn an_agency_has_its_share_and_small_runs_never_wait() {
    let rooms = Arc::new(Rooms::default());
    let of = |n| Room::new(&rooms, agency(n));
    let (one, two, other) = (of(1), of(1), of(2));
    let _large = one.hold(111 * MIB).unwrap();
    assert_eq!(two.hold(18 * MIB).unwrap_err(), Short::Process);
    assert!(two.is_short() && !two.is_over());
    let _others = other.hold(48 * MIB).unwrap();
    assert_eq!(of(3).hold(2 * MIB).unwrap_err(), Short::Process);
    for n in 0..1000 {
        std::mem::forget(of(n).hold(OWN).unwrap());
    }
}
