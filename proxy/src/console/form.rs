//! Something asked for step by step on a terminal: what was said can be gone back to, and all of it
//! is shown before anything is made. What the steps are is for who asks ([`Asks`]).

use std::fmt::Display;
use std::future::Future;
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::Failure;
use super::line::{Line, Typed};
use super::screen::Screen;
use super::show::sheet;

/// What a form asks. Pure: lines in, texts out.
pub(super) trait Asks: Clone {
    /// One thing that is asked.
    type Step: Copy;

    /// The first text.
    const WELCOME: &'static str;
    /// What stands above all of it.
    const REVIEW: &'static str;
    /// What saving does: `makes the request`.
    const MAKES: &'static str;

    /// What there is to ask, in this order.
    fn steps(&self) -> Vec<Self::Step>;
    /// What stands above the place to type, and before it.
    fn prompt(&self, step: Self::Step) -> (String, &'static str);
    /// What it is called where all of it is shown.
    fn label(step: Self::Step) -> &'static str;
    /// What was said; empty where nothing was.
    fn value(&self, step: Self::Step) -> String;
    /// Takes what was typed, which is not empty.
    fn answer(&mut self, step: Self::Step, line: &str) -> Result<Then, String>;
    /// Takes out what was said.
    fn clear(&mut self, step: Self::Step);
    /// Why it cannot be left open, where it cannot.
    fn needed(&self, step: Self::Step) -> Option<&'static str>;
}

/// What the gate has against what is said; it is asked after each step, so that nobody answers all of
/// them for nothing.
pub(super) trait Checks<A: Asks> {
    /// Why what is said at this step cannot stand, where it cannot.
    fn against(&self, said: &A, step: A::Step) -> impl Future<Output = Option<String>> + Send;
}

/// What comes after an answer that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The next step.
    Next,
    /// The same step takes another.
    More,
}

/// What came of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The next text is to be shown.
    Next,
    /// The same again, after this sentence.
    Wrong(String),
    /// It is to be made.
    Save,
    /// Nothing is to be made.
    Leave,
}

/// See the module.
pub(super) struct Form<A: Asks> {
    /// What was said so far.
    pub said: A,
    steps: Vec<A::Step>,
    /// Which step is asked; none while all of it is shown.
    at: Option<usize>,
    /// Whether the step was chosen in the review, which follows then.
    chosen: bool,
}

impl<A: Asks> Form<A> {
    /// With what was said already.
    pub fn new(said: A) -> Self {
        let steps = said.steps();
        Self { said, steps, at: Some(0), chosen: false }
    }

    /// Asks until all of it is to be made; says whether it is.
    pub async fn ask(
        &mut self,
        screen: &mut Screen<'_>,
        stdin: &mut (impl AsyncRead + Unpin + Send),
        checks: &impl Checks<A>,
    ) -> Result<bool, Failure> {
        loop {
            screen.text(&self.text()).await?;
            screen.flush().await?;
            let Some(line) = typed(screen, stdin).await? else { return Ok(false) };
            let (before, at, chosen) = (self.said.clone(), self.at, self.chosen);
            match self.take(&line) {
                Taken::Next => {
                    let answered =
                        at.filter(|_| line.trim() != "<").and_then(|at| self.steps.get(at)).copied();
                    let Some(step) = answered else { continue };
                    if let Some(why) = checks.against(&self.said, step).await {
                        (self.said, self.at, self.chosen) = (before, at, chosen);
                        screen.plain(&why).await?;
                    }
                }
                Taken::Wrong(why) => screen.plain(&why).await?,
                Taken::Leave => return Ok(false),
                Taken::Save => return Ok(true),
            }
        }
    }

    /// What is shown before the place to type.
    pub fn text(&self) -> String {
        let Some(step) = self.at.and_then(|at| self.steps.get(at)) else { return self.review() };
        let now = self.said.value(*step);
        let kept = if now.is_empty() { String::new() } else { format!(" [{now}]") };
        let (about, prompt) = self.said.prompt(*step);
        format!("\n{about}{}/{} {prompt}{kept}: ", self.at.unwrap_or_default() + 1, self.steps.len())
    }

    fn review(&self) -> String {
        let lines = self.steps.iter().enumerate().map(|(at, step)| {
            let value = self.said.value(*step);
            let value = if value.is_empty() { "-".to_owned() } else { value };
            sheet([(format!("{:>2}  {:<15}", at + 1, A::label(*step)).as_str(), value)])
        });
        format!(
            "\n{}:\n{}\nsave {}, a number changes that step, < goes back, cancel leaves: ",
            A::REVIEW,
            lines.collect::<String>(),
            A::MAKES
        )
    }

    /// Takes what was typed.
    pub fn take(&mut self, line: &str) -> Taken {
        let line = line.trim();
        let Some(at) = self.at else { return self.choose(line) };
        if line == "<" {
            let first = at == 0;
            self.at = Some(at.saturating_sub(1));
            self.chosen = false;
            return if first { Taken::Wrong("This is the first step.".to_owned()) } else { Taken::Next };
        }
        let Some(step) = self.steps.get(at).copied() else { return Taken::Leave };
        match self.answer(step, line) {
            Err(why) => return Taken::Wrong(why),
            Ok(Then::More) => return Taken::Next,
            Ok(Then::Next) => {}
        }
        let next = at + 1;
        self.at = (!self.chosen && next < self.steps.len()).then_some(next);
        self.chosen = false;
        Taken::Next
    }

    fn choose(&mut self, line: &str) -> Taken {
        let steps = self.steps.len();
        match (line, line.parse::<usize>()) {
            ("save", _) => Taken::Save,
            ("cancel", _) => Taken::Leave,
            ("<", _) => {
                self.at = Some(steps.saturating_sub(1));
                Taken::Next
            }
            (_, Ok(number)) if (1..=steps).contains(&number) => {
                (self.at, self.chosen) = (Some(number - 1), true);
                Taken::Next
            }
            _ => Taken::Wrong(format!("Write save, cancel, < or a number from 1 to {steps}.")),
        }
    }

    fn answer(&mut self, step: A::Step, line: &str) -> Result<Then, String> {
        if !line.is_empty() && line != "-" {
            return self.said.answer(step, line);
        }
        if let Some(why) = self.said.needed(step).filter(|_| line == "-" || self.said.value(step).is_empty())
        {
            return Err(why.to_owned());
        }
        if line == "-" {
            self.said.clear(step);
        }
        Ok(Then::Next)
    }

    /// Asks for this step next.
    #[cfg(test)]
    pub fn go_to(&mut self, at: usize) {
        self.at = Some(at);
    }

    /// All of it is shown again: it could not be made as it is.
    pub fn again(&mut self) {
        self.at = None;
    }
}

/// One line from the terminal; none when it is left.
async fn typed(
    screen: &mut Screen<'_>,
    stdin: &mut (impl AsyncRead + Unpin + Send),
) -> Result<Option<String>, Failure> {
    let mut line = Line::default();
    loop {
        let mut byte = [0];
        if stdin.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        let [byte] = byte;
        let mut echo = String::new();
        let typed = line.key(byte, &mut echo);
        screen.text(&echo).await?;
        screen.flush().await?;
        match typed {
            Some(Typed::Line(line)) => return Ok(Some(line)),
            Some(Typed::Leave) => return Ok(None),
            None => {}
        }
    }
}

pub(super) fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn shown(text: &str) -> String {
    tidegate_common::unseen::quoted(text, 40)
}

pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split([' ', ',']).filter(|word| !word.is_empty())
}

pub(super) fn parsed<T: FromStr<Err: Display>>(word: &str) -> Result<T, String> {
    word.parse().map_err(|error: T::Err| error.to_string())
}

/// Each word once.
pub(super) fn each<T: FromStr<Err: Display> + PartialEq>(line: &str) -> Result<Vec<T>, String> {
    let mut all = Vec::new();
    for word in words(line) {
        let one = parsed(word)?;
        if !all.contains(&one) {
            all.push(one);
        }
    }
    Ok(all)
}

/// Things by their number in a list, or by name.
pub(super) fn numbered<T, N: FromStr<Err: Display> + PartialEq>(
    line: &str,
    list: &[T],
    name: impl Fn(&T) -> N,
) -> Result<Vec<N>, String> {
    let mut all = Vec::new();
    for word in words(line) {
        let one = match word.parse::<usize>() {
            Ok(number) => match list.get(number.wrapping_sub(1)) {
                Some(one) => name(one),
                None => return Err(format!("There is no {number} in the list.")),
            },
            Err(_) => parsed(word)?,
        };
        if !all.contains(&one) {
            all.push(one);
        }
    }
    Ok(all)
}
