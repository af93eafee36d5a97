//! The second story: who comes from outside enters by a remote access, from an allowed country
//! only, and works under a planned change whose responsible person is told what it did not expect.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, bail};
use tidegate_tests::device::ACCOUNT;
use tidegate_tests::mmdb::{database, flat, nested};
use tidegate_tests::pty::Pty;
use tidegate_tests::run::{Done, Run};
use tidegate_tests::sinks::Mail;
use tidegate_tests::wait;
use tidegate_tests::world::World;

use super::{APPROVER, DEVICE, OPERATOR, PATIENCE, Shown, Story, admin};
use crate::stage::Stage;

const GROUP: &str = "field-engineers";
const CHANGE: &str = "CHG-2041";

/// Where operator is, and the host of the ssh_config that stands for it.
const SAO_PAULO: (Ipv4Addr, &str) = (Ipv4Addr::new(127, 0, 0, 2), "gate-sao-paulo");
const BERLIN: (Ipv4Addr, &str) = (Ipv4Addr::new(127, 0, 0, 3), "gate-berlin");

/// Operator's laptop: its key is in no resource.
const LAPTOP: &str = "laptop";

/// What the change expects, and what is typed beside it.
const EXPECTED: [&str; 2] = ["df /", "sudo id"];
const UNEXPECTED: &str = "sudo ls /root";

/// The gate's settings for it: what is inside, which place each address is, and the mail server.
pub(super) fn settings(dir: &Path, mails: SocketAddr) -> Result<String> {
    let geoip = dir.join("places.mmdb");
    let (first, second) = (format!("{}/32", SAO_PAULO.0), format!("{}/32", BERLIN.0));
    fs::write(
        &geoip,
        database(&[(&first, nested("BR", "SP", "Sao Paulo")), (&second, flat("DE", "Berlin"))]),
    )?;
    Ok(format!(
        "\n[remote_access]\ninside = [\"127.0.0.1\"]\ngeoip = \"{}\"\n\n[notify.mail]\nserver = \"{mails}\"\n\
         tls = \"none\"\nfrom = \"Tidegate <tidegate@example.org>\"\n",
        geoip.display()
    ))
}

/// The hosts of operator's laptop, in each of its places.
pub(super) fn hosts(world: &World, account: &str) -> Result<String> {
    let (gate, key) = (world.ssh()?, world.client().key(LAPTOP)?);
    let host = |name: &str, user: &str, from: Ipv4Addr| {
        format!(
            "Host {name}\n    HostName {}\n    Port {}\n    User {user}\n    IdentityFile {}\n    \
             BindAddress {from}\n",
            gate.ip(),
            gate.port(),
            key.display()
        )
    };
    let target = format!("{OPERATOR}[{account}@{DEVICE}]");
    Ok([
        host(SAO_PAULO.1, OPERATOR, SAO_PAULO.0),
        host("device-sao-paulo", &target, SAO_PAULO.0),
        host(BERLIN.1, OPERATOR, BERLIN.0),
    ]
    .concat())
}

impl Story {
    /// Tells it.
    pub(super) fn outside(&self, stage: &mut Stage) -> Result<()> {
        stage.title(
            "From outside, under a change",
            "Loopback plays the world: 127.0.0.1 is inside, 127.0.0.2 is in São Paulo, 127.0.0.3 in Berlin.",
        );
        self.user_group(stage)?;
        let access = self.batch(stage)?;
        let code = self.code(stage, access)?;
        self.enrol(stage, &code)?;
        self.places(stage)?;
        self.planned(stage)?;
        let (mut pty, mut shown) = self.under_the_change(stage)?;
        self.told_at_once(stage)?;
        pty.send_line("exit")?;
        pty.end(PATIENCE)?;
        shown.show(stage, &pty, true);
        self.reported(stage, access)
    }

    fn user_group(&self, stage: &mut Stage) -> Result<()> {
        stage.step("An administrator makes a user group that may enter from one country only");
        let text = fs::read_to_string("config/demo-outside.toml")?;
        let file = self.dir.join("outside.toml");
        fs::write(&file, text.replace(ACCOUNT, self.host.account()))?;
        admin(stage, &self.world, &["apply", "-f", &file.display().to_string()])?;
        admin(stage, &self.world, &["get", "user-group", GROUP])?;
        let read = || self.logged("locations-read");
        wait::until_true("the gate has read which place is where", PATIENCE, read)?;
        let refused = ["access", "explain", OPERATOR, &self.target(), "--from", &SAO_PAULO.0.to_string()];
        let said = admin(stage, &self.world, &refused)?;
        must_say(&said, "have no remote access")?;
        stage.holds("being in the group is not enough: who is outside needs a remote access");
        Ok(())
    }

    /// Gives the number of operator's.
    fn batch(&self, stage: &mut Stage) -> Result<u64> {
        stage.step("They request remote accesses for the whole group, in one batch");
        let why = ["--justification", "migration weekend", "--duration", "2d"];
        admin(stage, &self.world, &[&["remote-access", "batch", GROUP], &why[..]].concat())?;
        admin(stage, &self.world, &["remote-access", "list", "--group", GROUP])?;
        let listed = self.world.json(&["remote-access", "list", "--user", OPERATOR])?;
        let number = listed.as_array().and_then(|all| all.first()?.get("id")?.as_u64());
        number.context("operator has no remote access")
    }

    fn code(&self, stage: &mut Stage, access: u64) -> Result<String> {
        stage.step("Operator travels with a laptop that has no key here, and is sent a code by mail");
        admin(stage, &self.world, &["remote-access", "forward", &access.to_string()])?;
        let mail = self.mail(stage, OPERATOR, "your code to enter")?;
        let text = mail.plain();
        let code = text.lines().find_map(|line| line.strip_prefix("Code:")).context("no code in the mail")?;
        Ok(code.trim().to_owned())
    }

    fn enrol(&self, stage: &mut Stage, code: &str) -> Result<()> {
        stage
            .step("In São Paulo the code lets operator in, once, to enrol the laptop's key for the two days");
        let line =
            format!("ssh -F .demo/ssh_config {} remote-access enrol - < .demo/{LAPTOP}.key.pub", SAO_PAULO.1);
        stage.command(OPERATOR, &line);
        let mut pty = Pty::start(&["sh", "-c", &line])?;
        pty.expect("Access code: ")?;
        pty.send_line(code)?;
        pty.expect("that key logs you in until ")?;
        pty.end(PATIENCE)?;
        Shown::default().show(stage, &pty, true);
        Ok(())
    }

    fn places(&self, stage: &mut Stage) -> Result<()> {
        stage.step("From there the key opens the gate, and from another country it does not");
        self.ssh(stage, OPERATOR, SAO_PAULO.1, &["access", "list"])?.ok()?;
        let refused = self.ssh(stage, OPERATOR, BERLIN.1, &["access", "list"])?;
        if refused.success() {
            bail!("operator was let in from Berlin");
        }
        must_say(&refused, "is taken for DE-Berlin")?;
        stage.holds("refused, with the place that the address is taken for");
        Ok(())
    }

    fn planned(&self, stage: &mut Stage) -> Result<()> {
        stage.step("Operator plans a change, which says what will be typed; approver approves it");
        let [first, second] = EXPECTED;
        let create = ["change", "create", CHANGE, "--title", "Look at the disk", "--due", "+2h"];
        let what = ["--group", "database-operators", "--device", DEVICE, "--responsible", APPROVER];
        let expect = ["--expect", first, "--expect", second];
        let all = [&create[..], &what, &expect].concat();
        self.ssh(stage, OPERATOR, SAO_PAULO.1, &all)?.ok()?;
        self.ssh(stage, APPROVER, "gate-approver", &["change", "approve", CHANGE])?.ok()?;
        Ok(())
    }

    fn under_the_change(&self, stage: &mut Stage) -> Result<(Pty, Shown)> {
        stage.step("Operator works under it, and types one command that it does not expect");
        let words = ["ssh", "-F", ".demo/ssh_config", "device-sao-paulo"];
        stage.command(OPERATOR, &words.join(" "));
        let mut pty = Pty::start(&words)?;
        pty.expect("Change (number or ID): ")?;
        pty.send_line(CHANGE)?;
        pty.expect("$ ")?;
        for line in EXPECTED.into_iter().chain([UNEXPECTED]) {
            pty.send_line(line)?;
            // What is typed is echoed first.
            pty.expect("\n")?;
            pty.expect("$ ")?;
        }
        let mut shown = Shown::default();
        shown.show(stage, &pty, false);
        Ok((pty, shown))
    }

    fn told_at_once(&self, stage: &mut Stage) -> Result<()> {
        stage.step("Approver is responsible for the change, and is told at once, while operator goes on");
        let mail = self.mail(stage, APPROVER, "unexpected command of operator")?;
        if !mail.plain().contains(UNEXPECTED) {
            bail!("the mail does not name the command");
        }
        stage.holds("the session still lives; what the mail says to type would end it");
        Ok(())
    }

    fn reported(&self, stage: &mut Stage, access: u64) -> Result<()> {
        stage.step("The session's report follows by mail; the work is done, and every way in shuts");
        let mail = self.mail(stage, APPROVER, "report of change CHG-2041")?;
        if !mail.plain().contains(UNEXPECTED) {
            bail!("the report does not name the unexpected command");
        }
        self.ssh(stage, APPROVER, "gate-approver", &["change", "close", CHANGE])?.ok()?;
        let done = ["--comment", "the work is done"];
        admin(stage, &self.world, &[&["remote-access", "cancel", &access.to_string()], &done[..]].concat())?;
        let refused = self.ssh(stage, OPERATOR, SAO_PAULO.1, &["access", "list"])?;
        if refused.success() {
            bail!("the laptop's key still lets operator in");
        }
        stage.holds("the laptop's key opens nothing any more");
        stage.note("The access group is put back to what it was.");
        let first = self.dir.join("resources.toml").display().to_string();
        admin(stage, &self.world, &["apply", "-f", &first])?;
        Ok(())
    }

    fn target(&self) -> String {
        format!("{}@{DEVICE}", self.host.account())
    }

    /// Whether the log has a record of this kind.
    fn logged(&self, kind: &str) -> bool {
        let log = self.world.json(&["audit", "tail", "-n", "1000"]).unwrap_or_default();
        let is_kind = |record: &serde_json::Value| record.pointer("/event/type").is_some_and(|of| of == kind);
        log.as_array().is_some_and(|records| records.iter().any(is_kind))
    }

    /// Runs a command of the console by stock ssh, where it can ask nothing, and shows it.
    fn ssh(&self, stage: &Stage, who: &str, host: &str, command: &[&str]) -> Result<Done> {
        let words = [&["-F", ".demo/ssh_config", host], command].concat();
        stage.command(who, &Run::new("ssh").args(&words).line());
        let done = Run::new("ssh").args(["-o", "BatchMode=yes"]).args(&words).within(PATIENCE).run()?;
        stage.output(&done.all());
        Ok(done)
    }

    /// Waits for a mail to one of the people with this subject, and shows it.
    fn mail(&self, stage: &Stage, to: &str, subject: &str) -> Result<Mail> {
        let address = format!("{to}@example.org");
        let found = wait::until(&format!("{to} gets a mail: {subject}"), PATIENCE, || {
            let fits =
                |mail: &Mail| mail.to == [address.as_str()] && mail.header("Subject").starts_with(subject);
            self.mails.mails().into_iter().find(fits)
        })?;
        stage.note(&format!("A mail to {address}, as its server took it:"));
        stage.output(&format!("Subject: {}\n\n{}", found.header("Subject"), found.plain()));
        Ok(found)
    }
}

fn must_say(done: &Done, words: &str) -> Result<()> {
    if !done.all().contains(words) {
        bail!("nobody said `{words}`");
    }
    Ok(())
}
