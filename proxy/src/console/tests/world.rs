//! What the console's tests talk to.

use tokio::sync::watch;

use crate::console::{Size, run, words};
pub use crate::service::testing::World;

/// What a command said.
pub struct Done {
    pub status: u8,
    pub out: String,
    pub err: String,
}

impl World {
    pub async fn says(&self, who: &str, line: &str) -> Done {
        self.says_with(who, line, "").await
    }

    /// What a command says on a terminal on which somebody types this.
    pub async fn says_on_terminal(&self, who: &str, line: &str, keys: &str) -> Done {
        self.says_on(100, who, line, keys).await
    }

    /// The same on one of so many columns.
    pub async fn says_on(&self, columns: u32, who: &str, line: &str, keys: &str) -> Done {
        let (actor, words) = (self.actor(who), words(line).unwrap());
        let (_resized, terminal) = watch::channel(Size { columns, rows: 25 });
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let running = Box::pin(run(
            &self.services,
            &actor,
            Some(terminal),
            &words,
            keys.as_bytes(),
            &mut out,
            &mut err,
        ));
        let status = running.await;
        Done { status, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
    }

    /// `root` is the local administrator.
    pub async fn says_with(&self, who: &str, line: &str, input: &str) -> Done {
        let actor = self.actor(who);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let words = words(line).unwrap();
        // Boxed: a test that says much has each of them on its stack.
        let running =
            Box::pin(run(&self.services, &actor, None, &words, input.as_bytes(), &mut out, &mut err));
        let status = running.await;
        Done { status, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
    }
}
