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
    Arrival {
        id,
        message: id,
        sender: None,
        recipient,
        state,
        reason: String::new(),
        received: 0,
        size: 0,
        damaged: false,
    }
}

fn agenda(arrivals: &[(i64, i64)]) -> Agenda {
    let mut agenda = Agenda::default();
    for (id, list) in arrivals {
        agenda.add(arrival(*id, *list));
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
    let mut agenda = agenda(&[(1, 7), (1, 7)]);
    assert_eq!(take(&mut agenda), Some(1));
    agenda.add(arrival(1, 7));
    assert_eq!(agenda.queued, 0, "being processed");
    agenda.delay(arrival(1, 7), 1, Instant::now());
    agenda.add(arrival(1, 7));
    assert_eq!(agenda.queued, 0, "delayed");
}

/// What the spool would answer for a list of which all these are new.
fn page(behind: i64, all: &[i64], list: i64) -> Vec<Arrival> {
    all.iter().filter(|id| **id > behind).take(OF_ONE_LIST).map(|id| arrival(*id, list)).collect()
}

#[test]
fn a_list_with_much_mail_is_worked_on_in_order_and_hides_no_other() {
    let all: Vec<i64> = (1..=300).collect();
    let mut agenda = Agenda::default();
    for id in &all {
        agenda.add(arrival(*id, 7));
    }
    agenda.add(arrival(301, 8));
    assert_eq!(agenda.queued, OF_ONE_LIST + 1);
    assert_eq!(take(&mut agenda), Some(1));
    assert_eq!(take(&mut agenda), Some(301), "the other list's turn");
    assert!(!agenda.is_idle());
    agenda.done(&arrival(1, 7));
    let mut done = vec![1];
    while let Some(id) = {
        if let Some((list, behind)) = agenda.hungry() {
            assert_eq!(list, 7);
            agenda.fed(list, page(behind, &all, 7));
        }
        take(&mut agenda)
    } {
        assert!(agenda.queued <= OF_ONE_LIST * 2);
        agenda.done(&arrival(id, 7));
        done.push(id);
    }
    assert_eq!(done, all);
    agenda.done(&arrival(301, 8));
    assert!(agenda.is_idle() && agenda.hungry.is_empty());
    agenda.add(arrival(302, 7));
    assert_eq!(take(&mut agenda), Some(302), "it has no more than anybody else now");
}

#[test]
fn an_older_arrival_that_is_new_again_is_found_although_its_list_has_much_mail() {
    let mut agenda = Agenda::default();
    for id in 100..200 {
        agenda.add(arrival(id, 7));
    }
    agenda.add(arrival(5, 7));
    assert_eq!(agenda.more.get(&7), Some(&4));
    let all: Vec<i64> = std::iter::once(5).chain(100..200).collect();
    let mut done = Vec::new();
    while let Some(id) = {
        if let Some((list, behind)) = agenda.hungry() {
            let left: Vec<i64> = all.iter().copied().filter(|id| !done.contains(id)).collect();
            agenda.fed(list, page(behind, &left, 7));
        }
        take(&mut agenda)
    } {
        agenda.done(&arrival(id, 7));
        done.push(id);
    }
    done.sort_unstable();
    assert_eq!(done, all, "each once");
}

#[test]
fn memory_is_bounded_whatever_waits() {
    let mut agenda = Agenda::default();
    let mut id = 0;
    while agenda.has_room() {
        id += 1;
        agenda.add(arrival(id, id % 1000));
    }
    assert_eq!(agenda.queued, ROOM);
    assert!(!agenda.wants_to_look(true));
    let later = Instant::now() + Duration::from_mins(1);
    while let Some((one, attempts)) = agenda.take() {
        agenda.delay(one, attempts + 1, later);
    }
    assert!(agenda.queued == 0 && !agenda.has_room(), "so many in trouble are no trouble of theirs");
    agenda.add(arrival(id + 1, 1));
    assert_eq!(take(&mut agenda), Some(id + 1));
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
fn what_is_discarded_holds_up_nobody_and_is_removed_once() {
    let mut agenda = agenda(&[(1, 7), (2, 7), (3, 7)]);
    let _ = agenda.take();
    agenda.discard(arrival(1, 7), 0);
    assert_eq!(take(&mut agenda), Some(2), "its list goes on before it is gone");
    assert_eq!(agenda.begin_removal(), [1]);
    agenda.discard(arrival(2, 7), 0);
    agenda.add(arrival(1, 7));
    agenda.add(arrival(2, 7));
    assert_eq!(agenda.queued, 1, "they are known as long as they may still be seen");
    agenda.removed();
    assert_eq!(agenda.begin_removal(), [2]);
    let now = Instant::now();
    agenda.not_removed(now);
    assert!(!agenda.has_discarded());
    assert_eq!(take(&mut agenda), Some(3));
    agenda.wake(now + FIRST_DELAY);
    assert_eq!(take(&mut agenda), None, "one at a time, also what comes back");
    agenda.done(&arrival(3, 7));
    assert_eq!(agenda.take().map(|(arrival, attempts)| (arrival.id, attempts)), Some((2, 1)));
    agenda.done(&arrival(2, 7));
    assert!(agenda.is_idle() && agenda.known.is_empty());
}

#[test]
fn discarded_mail_that_cannot_be_removed_does_not_fill_the_memory() {
    let mut agenda = Agenda::default();
    (1..=2 * DISCARDED as i64).for_each(|id| agenda.add(arrival(id, id)));
    let mut taken = 0;
    while let Some((one, attempts)) = agenda.take() {
        agenda.discard(one, attempts);
        taken += 1;
    }
    assert_eq!(taken, DISCARDED);
    assert_eq!(agenda.begin_removal().len(), DISCARDED);
    assert!(agenda.take().is_some());
}

#[test]
fn a_search_goes_on_where_it_ended_unless_older_ones_are_new_again() {
    let mut search = Search::default();
    search.found(Some(256), false);
    assert!(search.pending && search.cursor == 256, "a full page is followed by the next");
    search.found(Some(300), true);
    assert!(!search.pending);
    search.start();
    assert!(search.pending && search.cursor == 300);
    search.start_over();
    assert!(search.pending && search.cursor == 0);
    search.found(None, true);
    assert!(!search.pending);
}

#[test]
fn without_being_told_older_ones_are_looked_through_once_in_a_while() {
    let (mut search, start) = (Search::default(), Instant::now());
    let mut looks_back = |after| {
        search.found(Some(300), true);
        search.start_over_now_and_then(start + after);
        search.pending && search.cursor == 0
    };
    assert!(looks_back(Duration::ZERO));
    assert!(!looks_back(LOOK_BACK / 2), "each message would pay for it");
    assert!(looks_back(LOOK_BACK));
    assert!(!looks_back(LOOK_BACK * 3 / 2));
}

#[test]
fn messages_that_are_large_together_wait_for_each_other() {
    let mut agenda = Agenda::default();
    for (id, size) in [(1, MANY_OCTETS - 1), (2, 1), (3, 1), (4, 3 * MANY_OCTETS)] {
        agenda.add(Arrival { size, ..arrival(id, id) });
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
