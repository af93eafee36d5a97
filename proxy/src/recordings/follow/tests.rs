use std::time::Duration;

use super::super::tests::{DONE, Scratch, header, shell};
use super::*;

fn text(shown: &mut String, said: ScriptLine) {
    if let ScriptLine::Data { shown: Some(text), .. } = said {
        shown.push_str(&text);
    }
}

/// Reads until this much was shown.
async fn until(follow: &mut Follow, mut shown: String, wanted: &str) -> String {
    let read = async {
        loop {
            let (more, reached) = follow.read(shown, text).await.unwrap();
            shown = more;
            if shown == wanted {
                return shown;
            }
            match reached {
                Reached::More => {}
                Reached::Now => follow.written().await,
                Reached::End(verdict) => panic!("{shown:?} and {verdict:?}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), read).await.unwrap()
}

#[tokio::test]
async fn who_joins_late_reads_all_that_was_shown_and_what_comes_until_the_end() {
    let scratch = Scratch::new();
    let recordings = scratch.recordings();
    let session = header(1).session;
    assert!(recordings.of(session).follow().unwrap().is_none(), "nothing is written");
    let recorder = recordings.begin(header(1)).await.unwrap();
    let channel = recorder.open(0, shell()).await.unwrap();
    channel.output(b"$ before ").await.unwrap();
    let mut follow = recordings.of(session).follow().unwrap().unwrap();
    let shown = until(&mut follow, String::new(), "$ before ").await;
    channel.output("wä".as_bytes()).await.unwrap();
    let mut shown = until(&mut follow, shown, "$ before wä").await;
    recorder.seal(DONE).await.unwrap();
    drop((channel, recorder));
    let verdict = loop {
        let (more, reached) = follow.read(shown, text).await.unwrap();
        shown = more;
        match reached {
            Reached::More => {}
            Reached::Now => follow.written().await,
            Reached::End(verdict) => break verdict,
        }
    };
    assert!(matches!(verdict, Verdict::Whole(_)), "{verdict:?}");
    assert_eq!(shown, "$ before wä");
    assert!(recordings.of(session).follow().unwrap().is_none(), "it is over");
}

#[tokio::test]
async fn what_is_recorded_is_written_sooner_only_while_somebody_follows() {
    let scratch = Scratch::new();
    let recordings = scratch.recordings();
    let recorder = recordings.begin(header(1)).await.unwrap();
    let channel = recorder.open(0, shell()).await.unwrap();
    recorder.rested().await;
    let inner = recordings.0.writing(header(1).session).unwrap();
    let due_in = async || {
        channel.output(b"x").await.unwrap();
        let due = inner.pending().due().unwrap();
        let due = due.duration_since(std::time::Instant::now());
        recorder.rested().await;
        due
    };
    let follow = recordings.of(header(1).session).follow().unwrap();
    assert!(due_in().await <= Duration::from_millis(50));
    drop(follow);
    assert!(due_in().await > Duration::from_millis(50));
}
