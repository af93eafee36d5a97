//! What the console's tests talk to.

use crate::console::{run, words};
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
