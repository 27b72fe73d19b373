use super::*;
use crate::lists::Subaddress;
use crate::spool::{ArrivalState, IncomingRecipient};

fn arrival(id: i64, list: i64) -> Arrival {
    let recipient = IncomingRecipient {
        list,
        list_address: format!("list{list}@example.com"),
        function: Subaddress::Post,
        recipient: format!("list{list}@example.com"),
        detail: None,
    };
    let state = ArrivalState::New;
    Arrival { id, message: id, sender: None, recipient, state, reason: String::new(), received: 0, size: 0 }
}

fn agenda(arrivals: &[(i64, i64)]) -> Agenda {
    let mut agenda = Agenda::default();
    for (id, list) in arrivals {
        assert!(agenda.add(&arrival(*id, *list)));
    }
    agenda
}

fn take(agenda: &mut Agenda) -> Option<i64> {
    agenda.take().map(|(arrival, _)| arrival.id)
}

#[test]
fn one_list_is_worked_on_in_order_and_one_at_a_time() {
    let mut agenda = agenda(&[(1, 7), (2, 7), (3, 7)]);
    assert_eq!(take(&mut agenda), Some(1));
    assert_eq!(take(&mut agenda), None);
    agenda.done(&arrival(1, 7));
    assert_eq!(take(&mut agenda), Some(2));
    agenda.done(&arrival(2, 7));
    assert_eq!(take(&mut agenda), Some(3));
    agenda.done(&arrival(3, 7));
    assert!(agenda.is_idle() && agenda.waiting.is_empty() && agenda.known.is_empty() && agenda.ready.is_empty());
}

#[test]
fn lists_do_not_wait_for_each_other() {
    let mut agenda = agenda(&[(1, 7), (2, 7), (3, 8)]);
    assert_eq!(take(&mut agenda), Some(1));
    assert_eq!(take(&mut agenda), Some(3));
    assert_eq!(take(&mut agenda), None);
}

#[test]
fn what_is_known_is_not_queued_twice() {
    let mut agenda = agenda(&[(1, 7)]);
    assert!(!agenda.add(&arrival(1, 7)));
    let _ = agenda.take();
    assert!(!agenda.add(&arrival(1, 7)), "being processed");
    agenda.delay(arrival(1, 7), 1, Instant::now());
    assert!(!agenda.add(&arrival(1, 7)), "delayed");
}

#[test]
fn trouble_with_one_holds_up_nobody_and_comes_back_in_its_time() {
    let mut agenda = agenda(&[(1, 7), (2, 7)]);
    let _ = agenda.take();
    let later = Instant::now() + Duration::from_mins(1);
    agenda.delay(arrival(1, 7), 1, later);
    assert_eq!(take(&mut agenda), Some(2));
    agenda.done(&arrival(2, 7));
    agenda.wake(later - Duration::from_secs(1));
    assert_eq!(take(&mut agenda), None);
    assert_eq!(agenda.next_due(), Some(later));
    agenda.wake(later);
    assert_eq!(agenda.take().map(|(arrival, attempts)| (arrival.id, attempts)), Some((1, 1)));
}

#[test]
fn a_search_without_news_is_repeated_from_the_beginning() {
    let now = Instant::now();
    let mut search = Search::default();
    search.found(Some(9), true, true);
    assert!(!search.wanted(now));
    search.start();
    assert!(search.wanted(now) && search.cursor == 9);
    search.found(None, true, false);
    assert!(search.wanted(now) && search.cursor == 0, "something older is new again");
    search.found(Some(3), true, true);
    assert!(!search.wanted(now));
    search.start_over();
    assert!(search.wanted(now) && search.cursor == 0);
    search.found(None, true, false);
    assert!(!search.wanted(now));
}

#[test]
fn a_full_page_is_followed_by_the_next() {
    let now = Instant::now();
    let mut search = Search::default();
    search.found(Some(256), false, true);
    assert!(search.wanted(now) && search.cursor == 256);
    search.found(Some(300), true, true);
    assert!(!search.wanted(now));
}

#[test]
fn messages_that_are_large_together_wait_for_each_other() {
    let mut agenda = Agenda::default();
    for (id, size) in [(1, MANY_OCTETS - 1), (2, 1), (3, 1), (4, 3 * MANY_OCTETS)] {
        assert!(agenda.add(&Arrival { size, ..arrival(id, id) }));
    }
    assert!(agenda.fits_beside(0));
    assert_eq!(take(&mut agenda), Some(1));
    assert!(agenda.fits_beside(MANY_OCTETS - 1), "together they just fit");
    assert_eq!(take(&mut agenda), Some(2));
    assert!(!agenda.fits_beside(MANY_OCTETS), "one octet too many");
    assert!(agenda.fits_beside(1));
    assert_eq!(take(&mut agenda), Some(3));
    assert!(!agenda.fits_beside(1), "what is larger still goes alone");
    assert!(agenda.fits_beside(0));
    assert_eq!(take(&mut agenda), Some(4));
    assert!(!agenda.fits_beside(1), "nobody waits");
}
