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
    assert_eq!(inbox.backlog(), 0);
}

#[tokio::test]
async fn a_backlog_brings_the_target_down_and_reading_brings_it_back() {
    let inbox = Inbox::<()>::default();
    inbox.push_data(&vec![0; SOFT]).await.unwrap();
    let target = |own| window_target(own, std::iter::once(own));
    assert_eq!(target(inbox.backlog()), TRICKLE);
    inbox.next().await;
    assert_eq!(target(inbox.backlog()), WINDOW);
    assert_eq!(window_target(0, [0, HARD].into_iter()), TRICKLE, "one that holds too much holds all");
    assert_eq!(window_target(0, [SOFT - 1; 8].into_iter()), WINDOW);
    assert_eq!(window_target(0, [SOFT - 1; 32].into_iter()), TRICKLE, "so do many together");
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
