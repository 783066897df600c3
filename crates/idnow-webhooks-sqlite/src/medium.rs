//! What the file is kept on. Some file systems forget what was committed, and SQLite cannot know.

use std::path::Path;

/// Warns of a file, or a folder that its log is in, where what was acknowledged may be lost.
pub(crate) fn warn(path: &Path) {
    // The log stands beside the file itself, not beside a link to it.
    let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut places = [Some(file.as_path()), file.parent()].into_iter().flatten();
    if let Some((place, medium)) = places.find_map(|place| Some((place, Medium::of(place)?))) {
        let place = place.display();
        tracing::warn!(path = %path.display(), "{place} is on {}: {}", medium.name, medium.risk.explain());
    }
}

/// A file system that is not for a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Medium {
    name: &'static str,
    risk: Risk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Risk {
    Container,
    Memory,
    Network,
}

impl Risk {
    fn explain(self) -> &'static str {
        match self {
            Self::Container => {
                "what is written there is usually lost with its container, and events with it that were acknowledged. Put \
                 the file on a volume"
            }
            Self::Memory => {
                "what is written there is lost when the machine or the container stops, and events with it that were \
                 acknowledged. Put the file on a disk or a volume"
            }
            Self::Network => {
                "over a network, SQLite's locks and its log are not reliable, and events that were acknowledged can be \
                 lost. Put the file on a local disk, or use a store in PostgreSQL"
            }
        }
    }
}

impl Medium {
    #[cfg(target_os = "linux")]
    fn of(path: &Path) -> Option<Self> {
        let found = rustix::fs::statfs(path).ok()?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::unnecessary_cast,
            reason = "the type differs between processors, and the number has 32 bits on each"
        )]
        let number = found.f_type as u32;
        Self::by_number(number)
    }

    /// Elsewhere nothing is known.
    #[cfg(not(target_os = "linux"))]
    fn of(_: &Path) -> Option<Self> {
        None
    }

    /// The numbers of statfs(2).
    #[cfg(target_os = "linux")]
    fn by_number(number: u32) -> Option<Self> {
        let (name, risk) = match number {
            0x794c_7630 => ("overlay", Risk::Container),
            0x6175_6673 => ("aufs", Risk::Container),
            0x0102_1994 => ("tmpfs", Risk::Memory),
            0x8584_58f6 => ("ramfs", Risk::Memory),
            0x0000_6969 => ("nfs", Risk::Network),
            0xff53_4d42 | 0xfe53_4d42 => ("cifs", Risk::Network),
            0x0000_517b => ("smb", Risk::Network),
            0x0102_1997 => ("9p", Risk::Network),
            0x6573_5546 => ("fuse", Risk::Network),
            0x00c3_6400 => ("ceph", Risk::Network),
            0x5346_414f | 0x6b41_4653 => ("afs", Risk::Network),
            _ => return None,
        };
        Some(Self { name, risk })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_from_what_lasts() {
        let shared = Medium::of(Path::new("/dev/shm")).unwrap();
        assert_eq!(shared, Medium { name: "tmpfs", risk: Risk::Memory });
        // Its number is negative where the type has 32 bits.
        assert_eq!(Medium::by_number(0xff53_4d42).unwrap().name, "cifs");
        for lasting in [0xef53, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1] {
            assert_eq!(Medium::by_number(lasting), None, "ext4, xfs, btrfs and zfs: {lasting:x}");
        }
    }
}
