//! A device whose disk is an ext4 of its own on a loop device, so that it can do what
//! disks do: lose at a power cut what was not synced, be full, and fail.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Device;
use crate::host::Host;
use crate::run::{self, Run};
use crate::slot::{self, Slot};

/// How large the disk is; it takes only what is written.
const SIZE: u64 = 1 << 30;

/// Whether a device can have a disk here; the error says in one sentence why not.
pub fn possible() -> Result<()> {
    super::possible()?;
    let free = Run::new("losetup").arg("--find").run()?;
    ensure!(free.success(), "no loop device is free or can be made: {}", free.err().trim());
    ensure!(Path::new("/sys/fs/ext4").exists(), "this kernel has no ext4");
    Ok(())
}

impl Device {
    /// Makes a device on a disk, not booted yet.
    pub fn make_on_disk(base: &Path, name: &str) -> Result<Self> {
        possible()?;
        slot::reap_stale(base)?;
        let slot = Slot::take(base)?;
        let (image, layers) = (slot.dir().join("image"), slot.dir().join("disk"));
        fs::File::create(&image)?.set_len(SIZE)?;
        // No block is kept for root: it is root who fills the disk.
        Run::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image).ok()?;
        fs::create_dir(&layers)?;
        attach(&image, &layers)?;
        let device = Self::made(slot, name, layers)?;
        device.sync()?;
        Ok(device)
    }

    /// Writes all that it has on its disk.
    pub fn sync(&self) -> Result<()> {
        Run::new("sync").arg("-f").arg(&self.layers).ok()?;
        Ok(())
    }

    /// Cuts the power: what no sync, nor the kernel on its own, had written is lost.
    pub fn cut_power_and_lose_unsynced(&self) -> Result<()> {
        let (image, kept) = (self.slot.dir().join("image"), self.slot.dir().join("kept"));
        self.cut_power()?;
        // The page cache of what is mounted is not in the file that the disk is.
        Run::new("cp").arg("--sparse=always").args([&image, &kept]).ok()?;
        run::ok(&["umount", &self.root.display().to_string()])?;
        run::ok(&["umount", &self.layers.display().to_string()])?;
        fs::rename(&kept, &image)?;
        attach(&image, &self.layers)?;
        self.mount_words().ok()?;
        Ok(())
    }

    /// Leaves no room on its disk; [`Device::make_room`] gives it back.
    pub fn fill_disk(&self) -> Result<()> {
        // Whole first, then the blocks that are left in between.
        let script = "for size in 1M 4k 1k; do dd if=/dev/zero of=$1 bs=$size oflag=append conv=notrunc; done 2>/dev/null; \
                      sync -f $1; test $(df --output=avail -B1k $1 | tail -1) -lt 8";
        Run::new("sh").args(["-c", script, "sh"]).arg(self.ballast()).ok().map(drop)
    }

    pub fn make_room(&self) -> Result<()> {
        fs::remove_file(self.ballast())?;
        self.sync()
    }

    fn ballast(&self) -> PathBuf {
        self.layers.join("ballast")
    }

    /// Lets its disk fail, so that the kernel lets nobody write there any more until the
    /// next boot.
    pub fn fail_disk(&self) -> Result<()> {
        let found = Run::new("findmnt").args(["-no", "SOURCE"]).arg(&self.layers).ok()?.out();
        let name = Path::new(found.trim()).file_name().context("the disk is not mounted")?.to_owned();
        let trigger = Path::new("/sys/fs/ext4").join(name).join("trigger_fs_error");
        fs::write(&trigger, "as a test\n").with_context(|| trigger.display().to_string())?;
        ensure!(fs::write(self.path("/etc/probe"), "").is_err(), "the disk can still be written");
        Ok(())
    }
}

fn attach(image: &Path, place: &Path) -> Result<()> {
    Run::new("mount").args(["-o", "loop,errors=remount-ro"]).args([image, place]).ok()?;
    Ok(())
}
