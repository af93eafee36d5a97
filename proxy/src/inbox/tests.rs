use super::*;

async fn data(inbox: &Inbox<u8>) -> Vec<u8> {
    match inbox.next().await {
        Event::Data(data) => data.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_goes_in_comes_out_in_order() {
    let inbox = Inbox::default();
    inbox.push_data(b"ab").await.unwrap();
    inbox.push_data(b"cd").await.unwrap();
    inbox.push_control(7).unwrap();
    inbox.push_data(b"ef").await.unwrap();
    inbox.push_eof().unwrap();
    inbox.close();
    assert_eq!(data(&inbox).await, b"abcd");
    assert!(matches!(inbox.next().await, Event::Control(7)));
    assert_eq!(data(&inbox).await, b"ef");
    assert!(matches!(inbox.next().await, Event::Eof));
    assert!(matches!(inbox.next().await, Event::Closed));
    assert_eq!(inbox.load().backlog, 0);
}

#[tokio::test]
async fn a_backlog_brings_the_target_down_and_reading_brings_it_back() {
    let inbox = Inbox::<()>::default();
    inbox.push_data(&vec![0; SOFT]).await.unwrap();
    let target = |own| window_target(own, std::iter::once(own));
    assert_eq!(target(inbox.load()), TRICKLE);
    inbox.next().await;
    assert_eq!(target(inbox.load()), WINDOW);
    let load = |backlog| Load { backlog, window: 0 };
    let of = |all: &[usize]| window_target(load(0), all.iter().map(|backlog| load(*backlog)));
    assert_eq!(of(&[0, HARD]), TRICKLE, "one that holds too much holds all");
    assert_eq!(of(&[SOFT - 1; 8]), WINDOW);
    assert_eq!(of(&[SOFT - 1; 32]), TRICKLE, "so do many together");
}

/// A channel of a client that sends all it may, and the window that it has.
struct Sender {
    inbox: Inbox<()>,
    window: u32,
}

/// As russh serves a connection: a window that half of is used up is topped up to the target.
async fn sends(senders: &mut [Sender], at: usize, length: u32, target: &mut u32) {
    let sender = &mut senders[at];
    sender.window -= length;
    if sender.window < *target / 2 {
        sender.window = *target;
        sender.inbox.tops_up(*target);
        let own = sender.inbox.load();
        *target = window_target(own, senders.iter().map(|sender| sender.inbox.load()));
    }
    let sender = &senders[at];
    sender.inbox.push_data(&vec![0; length as usize]).await.unwrap();
    assert_eq!(sender.inbox.load().window, sender.window as usize);
}

#[tokio::test(start_paused = true)]
async fn what_all_channels_of_a_session_may_hold_is_bounded_whatever_each_is_granted() {
    let mut senders: Vec<_> = (0..128).map(|_| Sender { inbox: Inbox::default(), window: FIRST }).collect();
    let mut target = FIRST;
    // Each is granted what it may be while nobody else has anything waiting, and keeps it.
    for at in 0..senders.len() {
        for _ in 0..2 {
            sends(&mut senders, at, FIRST / 2 + 1, &mut target).await;
        }
        while let Some(sender) = senders.get(at).filter(|sender| sender.inbox.load().backlog > 0) {
            sender.inbox.next().await;
        }
    }
    assert_eq!(senders[0].window, WINDOW, "the first is granted the whole");
    // Then nobody reads, and each sends all that it may.
    let mut sent = true;
    while sent {
        sent = false;
        for at in 0..senders.len() {
            let window = senders[at].window;
            if window > TRICKLE {
                sends(&mut senders, at, window.min(32 * 1024), &mut target).await;
                sent = true;
            }
        }
    }
    let waiting: usize = senders.iter().map(|sender| sender.inbox.load().backlog).sum();
    assert!(waiting > ALL && waiting < 4 * ALL, "{waiting}");
}

#[tokio::test]
async fn one_channel_among_idle_ones_has_the_whole_window() {
    let mut senders: Vec<_> = (0..128).map(|_| Sender { inbox: Inbox::default(), window: FIRST }).collect();
    let mut target = FIRST;
    for _ in 0..64 {
        sends(&mut senders, 7, FIRST / 2, &mut target).await;
        senders[7].inbox.next().await;
    }
    assert_eq!(target, WINDOW);
}

#[tokio::test]
async fn what_was_looked_at_for_a_byte_is_not_looked_at_again() {
    let state = |inbox: &Inbox<u8>, looked: &mut Looked| inbox.state().holds(3, looked);
    let (inbox, mut looked) = (Inbox::default(), Looked::default());
    assert!(!state(&inbox, &mut looked));
    inbox.push_data(b"ab").await.unwrap();
    assert!(!state(&inbox, &mut looked));
    assert_eq!((looked.last, looked.bytes), (0, 2));
    inbox.push_data(b"c").await.unwrap();
    inbox.push_control(1).unwrap();
    inbox.push_data(&vec![b'x'; GATHER]).await.unwrap();
    assert!(!state(&inbox, &mut looked));
    assert_eq!((looked.last, looked.bytes), (2, GATHER));
    inbox.push_data(b"\x03").await.unwrap();
    assert!(state(&inbox, &mut looked));
    assert!(state(&inbox, &mut Looked::default()), "it stays there");
}

#[tokio::test]
async fn a_byte_is_seen_as_soon_as_it_waits_and_stays_there_with_what_is_around_it() {
    let inbox = Inbox::default();
    inbox.push_data(b"ls").await.unwrap();
    let waits = |byte| {
        let inbox = inbox.clone();
        tokio::spawn(async move { inbox.closed_or_holds(byte).await })
    };
    let seen = waits(Some(3));
    tokio::task::yield_now().await;
    assert!(!seen.is_finished());
    inbox.push_control(7).unwrap();
    inbox.push_data(b"x\x03y").await.unwrap();
    assert!(seen.await.unwrap());
    let gone = waits(None);
    tokio::task::yield_now().await;
    assert!(!gone.is_finished(), "no byte was named");
    inbox.close();
    assert!(!gone.await.unwrap());
    assert_eq!(data(&inbox).await, b"ls");
    assert!(matches!(inbox.next().await, Event::Control(7)));
    assert_eq!(data(&inbox).await, b"x\x03y");
}

#[tokio::test]
async fn a_client_that_ignores_its_window_is_cut_off() {
    let inbox = Inbox::<()>::default();
    for _ in 0..MOST / 4096 {
        inbox.push_data(&[0; 4096]).await.unwrap();
    }
    assert_eq!(inbox.push_data(&[0; 4096]).await, Err(Breach::Window));
}

#[tokio::test]
async fn whatever_a_client_repeats_without_end_a_stuck_channel_keeps_a_bounded_part_of() {
    let inbox = Inbox::<()>::default();
    inbox.push_eof().unwrap();
    for _ in 0..10 {
        assert_eq!(inbox.push_eof(), Err(Breach::EofTwice));
        inbox.push_data(b"").await.unwrap();
    }
    assert_eq!(inbox.state().items.len(), 1);
    let pushed = (0..10_000).take_while(|_| inbox.push_control(()).is_ok()).count();
    assert_eq!(pushed, MOST_CONTROLS);
    assert_eq!(inbox.push_control(()), Err(Breach::Requests));
    for _ in 0..10_000 {
        inbox.push_data(b"").await.unwrap();
    }
    assert_eq!(inbox.state().items.len(), MOST_CONTROLS + 1);
}

#[tokio::test]
async fn without_a_window_a_full_inbox_makes_its_peer_wait_until_it_is_read_or_closed() {
    let inbox = Inbox::default();
    inbox.push_when_room(&vec![0; SOFT + 1]).await;
    let push = || {
        let inbox = inbox.clone();
        tokio::spawn(async move { inbox.push_when_room(b"xy").await })
    };
    let waiting = push();
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    inbox.next().await;
    waiting.await.unwrap();
    assert_eq!(data(&inbox).await, b"xy");
    inbox.push_when_room(&vec![0; SOFT + 1]).await;
    let waiting = push();
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    inbox.close();
    waiting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_trickle_waits_for_the_reader_but_not_for_ever() {
    let inbox = Inbox::<()>::default();
    inbox.push_data(&vec![0; SOFT + 1]).await.unwrap();
    let before = tokio::time::Instant::now();
    inbox.push_data(b"xy").await.unwrap();
    assert_eq!(before.elapsed(), PAUSE);
}
