use super::*;
use proptest::prelude::*;

/// What follows from the events, one after the other.
fn commands(
    coordinator: &mut Coordinator<&'static str>,
    events: Vec<Event<&'static str>>,
) -> Vec<Command<&'static str>> {
    let mut commands = Vec::new();
    events.into_iter().for_each(|event| coordinator.note(event, &mut commands));
    commands
}

fn marked(process: usize, epoch: Epoch) -> Event<&'static str> {
    Event::Marked { process, epoch }
}

fn stored(process: usize, epoch: Epoch) -> Event<&'static str> {
    Event::Stored { process, epoch, parts: Ok(vec!["part"]) }
}

#[test]
fn epoch_opens_when_all_have_marked_and_is_committed_when_all_have_stored() {
    let mut coordinator = Coordinator::new(2);
    assert_eq!(commands(&mut coordinator, vec![Event::Due]), [Command::Close(0)]);
    assert_eq!(commands(&mut coordinator, vec![Event::Due, marked(0, 0), stored(0, 0)]), []);
    assert_eq!(commands(&mut coordinator, vec![marked(1, 0)]), [Command::Open(1)]);
    let commit = Command::Commit { epoch: 0, parts: vec!["part", "part"] };
    assert_eq!(commands(&mut coordinator, vec![Event::Due, stored(1, 0)]), [commit]);
    assert!(coordinator.is_busy());
    let done = commands(&mut coordinator, vec![Event::Committed(Ok(()))]);
    assert_eq!(done, [Command::Announce { epoch: 0, is_last: false }]);
    assert_eq!(commands(&mut coordinator, vec![Event::Due]), [Command::Close(1)]);
}

#[test]
fn checkpoint_that_a_process_can_not_store_is_given_up_and_the_next_one_is_made() {
    let mut coordinator = Coordinator::new(2);
    let failed = Event::Stored { process: 1, epoch: 0, parts: Err("disk full".into()) };
    let all = vec![Event::Due, marked(0, 0), marked(1, 0), failed, stored(0, 0), Event::Due];
    let given_up = Command::GiveUp { epoch: 0, is_last: false, reason: "process 1: disk full".into() };
    let expected = [Command::Close(0), Command::Open(1), given_up, Command::Close(1)];
    assert_eq!(commands(&mut coordinator, all), expected);
}

#[test]
fn job_that_has_ended_makes_a_last_checkpoint() {
    let mut coordinator = Coordinator::new(2);
    let ended = |process| Event::Ended { process };
    assert_eq!(commands(&mut coordinator, vec![ended(0)]), []);
    assert_eq!(commands(&mut coordinator, vec![ended(1)]), [Command::Close(0)]);
    let rest = vec![marked(0, 0), marked(1, 0), stored(0, 0), stored(1, 0), Event::Committed(Ok(()))];
    let done = commands(&mut coordinator, rest);
    assert_eq!(done.last(), Some(&Command::Announce { epoch: 0, is_last: true }));
    assert_eq!(commands(&mut coordinator, vec![Event::Due]), []);
}

#[test]
fn job_that_ends_while_a_checkpoint_is_under_way_makes_another_one_behind_it() {
    let mut coordinator = Coordinator::new(1);
    let all =
        vec![Event::Due, marked(0, 0), Event::Ended { process: 0 }, stored(0, 0), Event::Committed(Ok(()))];
    let expected = [
        Command::Close(0),
        Command::Open(1),
        Command::Commit { epoch: 0, parts: vec!["part"] },
        Command::Announce { epoch: 0, is_last: false },
        Command::Close(1),
    ];
    assert_eq!(commands(&mut coordinator, all), expected);
}

proptest! {
    /// Whatever comes in whatever order, epochs are closed, opened and settled one after the other.
    #[test]
    fn epochs_are_closed_opened_and_settled_in_turn(
        events in prop::collection::vec((0u8..5, 0usize..3, 0u64..6, any::<bool>()), 0..200),
    ) {
        let mut coordinator = Coordinator::new(3);
        let mut seen = Vec::new();
        for (kind, process, epoch, good) in events {
            let outcome = |text: &str| if good { Ok(()) } else { Err(text.to_string()) };
            let event = match kind {
                0 => Event::Due,
                1 => marked(process, epoch),
                2 => Event::Ended { process },
                3 => Event::Stored { process, epoch, parts: outcome("full").map(|()| vec!["part"]) },
                _ => Event::Committed(outcome("torn")),
            };
            coordinator.note(event, &mut seen);
        }
        let mut expected = 0u64;
        let mut steps = seen.iter().filter(|command| !matches!(command, Command::Commit { .. }));
        while let Some(step) = steps.next() {
            prop_assert_eq!(step, &Command::Close(expected));
            let Some(step) = steps.next() else { break };
            prop_assert_eq!(step, &Command::Open(expected + 1));
            match steps.next() {
                Some(Command::Announce { epoch, .. } | Command::GiveUp { epoch, .. }) => {
                    prop_assert_eq!(*epoch, expected);
                }
                other => prop_assert!(other.is_none()),
            }
            expected += 1;
        }
    }
}
