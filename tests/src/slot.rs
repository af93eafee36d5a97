//! A slot: what one throwaway device needs of the machine. A tmpfs (so nothing
//! has to be deleted afterwards, and any file system will do below it), a network
//! namespace joined to the machine by a veth pair with a /30 of RFC 2544's
//! benchmark range, and control groups of its own. Slots are numbered; the number
//! is in every name, so that a leftover is known as ours.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::guardian::Guardian;
use crate::run::{self, Run};

/// As many devices at once as one machine can hold slots.
const SLOTS: u16 = 256;

/// Ends the slot's processes, then takes back everything else. `$1` is the slot's
/// name, `$2` its directory, the rest are its control groups.
const CLEAN: &str = r#"
name=$1 dir=$2; shift 2
processes() {
    for group; do find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null; done
}
end_all processes "$@"
ip link del "$name" 2>/dev/null
umount -R "$dir" 2>/dev/null || umount -R -l "$dir" 2>/dev/null
rmdir "$dir" 2>/dev/null
for group; do find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; done
# Last, because who can add this name next takes the slot over.
ip netns del "$name" 2>/dev/null
exit 0
"#;

/// One device's share of the machine; given back on drop.
#[derive(Debug)]
pub struct Slot {
    number: u16,
    name: String,
    dir: PathBuf,
    groups: Vec<PathBuf>,
    _guardian: Guardian,
    _lock: File,
}

impl Slot {
    /// Takes the first free slot; its directory is below `base`.
    pub fn take(base: &Path) -> Result<Self> {
        fs::create_dir_all(base).with_context(|| format!("cannot create {}", base.display()))?;
        let base = base.canonicalize()?;
        for number in 0..SLOTS {
            let name = name(number);
            let lock = File::create(base.join(format!("{name}.lock")))?;
            if lock.try_lock().is_err() {
                continue;
            }
            let added = Run::new("ip").args(["netns", "add", &name]).run()?;
            if added.success() {
                return Self::furnish(number, name, &base, lock);
            }
            if !added.err().contains("File exists") {
                bail!("no network namespace can be made here: {}", added.err().trim());
            }
        }
        bail!("all {SLOTS} slots for devices are taken; `ip netns` lists them")
    }

    fn furnish(number: u16, name: String, base: &Path, lock: File) -> Result<Self> {
        let dir = base.join(&name);
        let groups = groups(&name);
        let mut args = vec![name.clone(), dir.display().to_string()];
        args.extend(groups.iter().map(|group| group.display().to_string()));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let guardian = Guardian::new(CLEAN, &args, Some(&lock))?;
        let slot = Self { number, name, dir, groups, _guardian: guardian, _lock: lock };
        slot.mount()?;
        slot.connect()?;
        for group in &slot.groups {
            fs::create_dir(group)
                .with_context(|| format!("no control group can be made at {}", group.display()))?;
        }
        Ok(slot)
    }

    fn mount(&self) -> Result<()> {
        fs::create_dir_all(&self.dir)?;
        let dir = self.dir.display().to_string();
        run::ok(&["mount", "-t", "tmpfs", "-o", "mode=0755,size=4g", "tidegate", &dir])?;
        Ok(())
    }

    fn connect(&self) -> Result<()> {
        let (name, here, there) = (&self.name, format!("{}/30", self.host()), format!("{}/30", self.guest()));
        let batch = format!(
            "link add {name} type veth peer name host0 netns {name}\n\
             addr add {here} dev {name}\nlink set {name} up\n"
        );
        Run::new("ip").args(["-batch", "-"]).stdin(batch).ok()?;
        let batch = format!("addr add {there} dev host0\nlink set host0 up\nlink set lo up\n");
        Run::new("ip").args(["-n", name, "-batch", "-"]).stdin(batch).ok()?;
        Ok(())
    }

    /// Its name, which its network namespace and its end of the veth pair bear too.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tmpfs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The machine's address on the veth pair, as the device sees it.
    #[must_use]
    pub fn host(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The device's address.
    #[must_use]
    pub fn guest(&self) -> Ipv4Addr {
        self.address(2)
    }

    fn address(&self, which: u8) -> Ipv4Addr {
        let [high, low] = (self.number * 4).to_be_bytes();
        Ipv4Addr::new(198, 18, high, low + which)
    }

    /// The slot's own control groups: the first is where cgroup2 is mounted.
    #[must_use]
    pub fn groups(&self) -> &[PathBuf] {
        &self.groups
    }
}

fn name(number: u16) -> String {
    format!("tidegate-{number}")
}

/// Where the slot's control groups belong: in the cgroup2 tree, and beside it in
/// systemd's own v1 tree where the machine still has that.
fn groups(name: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let of = |wanted: fn(&str, &str) -> bool| {
        mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (place, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
            wanted(kind, options).then(|| Path::new(place).join(name))
        })
    };
    let unified = of(|kind, _| kind == "cgroup2");
    let named = of(|kind, options| kind == "cgroup" && options.split(',').any(|o| o == "name=systemd"));
    unified.into_iter().chain(named).collect()
}

/// Takes back what an earlier run below `base` left because it and its guardian
/// were both killed. A slot that is in use is locked and stays.
pub fn reap_stale(base: &Path) -> Result<()> {
    let Ok(base) = base.canonicalize() else { return Ok(()) };
    for number in 0..SLOTS {
        let name = name(number);
        let Ok(lock) = File::open(base.join(format!("{name}.lock"))) else { continue };
        let dir = base.join(&name);
        if lock.try_lock().is_err() || !dir.exists() {
            continue;
        }
        let groups = groups(&name);
        let mut args = vec![name, dir.display().to_string()];
        args.extend(groups.iter().map(|group| group.display().to_string()));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        drop(Guardian::new(CLEAN, &args, Some(&lock))?);
    }
    Ok(())
}

/// Whether a control group for a device has no place here.
#[must_use]
pub fn has_no_cgroup2() -> bool {
    !fs::read_to_string("/proc/self/mounts")
        .unwrap_or_default()
        .lines()
        .any(|line| line.split(' ').nth(2) == Some("cgroup2"))
}
