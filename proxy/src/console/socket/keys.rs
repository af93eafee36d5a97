//! Keys as they are typed on the terminal of `tidegate-proxy admin`.

use std::io::Read as _;
use std::os::fd::AsFd as _;

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// The keys, and the terminal that gives them one by one until this is dropped.
pub struct Keys {
    before: Termios,
    typed: mpsc::Receiver<Vec<u8>>,
}

impl Keys {
    /// Takes them from standard input; none where that is no terminal.
    pub fn take() -> Option<Self> {
        let before = tcgetattr(std::io::stdin().as_fd()).ok()?;
        let mut keys = before.clone();
        // Each key as it is, and no line of it; what is printed stays as it is.
        keys.local_flags -= LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG | LocalFlags::IEXTEN;
        for (index, value) in [(SpecialCharacterIndices::VMIN, 1), (SpecialCharacterIndices::VTIME, 0)] {
            if let Some(setting) = keys.control_chars.get_mut(index as usize) {
                *setting = value;
            }
        }
        tcsetattr(std::io::stdin().as_fd(), SetArg::TCSANOW, &keys).ok()?;
        let (sender, typed) = mpsc::channel(16);
        // Ends with the process, which does not wait for it.
        std::thread::spawn(move || {
            let mut piece = [0; 256];
            while let Ok(count @ 1..) = std::io::stdin().lock().read(&mut piece) {
                let typed = piece.get(..count).unwrap_or_default().to_vec();
                if sender.blocking_send(typed).is_err() {
                    return;
                }
            }
        });
        Some(Self { before, typed })
    }

    /// What is typed next; none at its end. Cancel safe.
    pub async fn typed(&mut self) -> Option<Vec<u8>> {
        self.typed.recv().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin().as_fd(), SetArg::TCSANOW, &self.before);
    }
}
