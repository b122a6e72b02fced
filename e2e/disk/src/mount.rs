//! A volume as the kernel sees it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, KernelConfig, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite,
    Request, Session, TimeOrNow, WriteFlags,
};

use crate::{Kind, NodeId, Refusal, Volume};

/// A volume under a folder, until the value is dropped.
#[derive(Debug)]
pub struct Mount {
    volume: Arc<Mutex<Volume>>,
    at: PathBuf,
    session: Option<BackgroundSession>,
}

impl Mount {
    /// Puts a volume under a folder. The kernel knows nothing of an earlier one.
    ///
    /// # Errors
    ///
    /// Without root or without `/dev/fuse`.
    pub fn new(volume: Volume, at: &Path) -> io::Result<Self> {
        let volume = Arc::new(Mutex::new(volume));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("powercut".to_owned())];
        let session =
            Session::new(Served(volume.clone()), at, &config).and_then(Session::spawn).map_err(|error| {
                io::Error::new(error.kind(), format!("mounting needs root and {DEVICE}: {error}"))
            })?;
        Ok(Self { volume, at: at.to_owned(), session: Some(session) })
    }

    /// The volume, as it is.
    pub fn volume(&self) -> MutexGuard<'_, Volume> {
        locked(&self.volume)
    }

    /// Takes the volume away from the kernel. No program may have anything open on it.
    ///
    /// # Errors
    ///
    /// If one has, and the volume stays.
    pub fn unmount(mut self) -> io::Result<Volume> {
        let told = |what: &str, error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
        rustix::mount::unmount(&self.at, rustix::mount::UnmountFlags::empty())
            .map_err(|error| told("unmounting", error.into()))?;
        match self.session.take().map_or(Ok(()), BackgroundSession::join) {
            // What the kernel says instead of ENODEV to who was just taking a request, such as one to forget a file
            // (`fuse_dev_do_read`).
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            ended => ended.map_err(|error| told("waiting for the end of what served it", error))?,
        }
        Ok(self.volume().clone())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.session.is_some() {
            // Only where a test failed, with files open perhaps.
            let _ = rustix::mount::unmount(&self.at, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

struct Served(Arc<Mutex<Volume>>);

impl Served {
    fn volume(&self) -> MutexGuard<'_, Volume> {
        locked(&self.0)
    }

    fn attributes(&self, node: NodeId) -> Result<FileAttr, Errno> {
        let kind = self.volume().kind(node).map_err(errno)?;
        let (kind, size, perm) = match kind {
            Kind::Directory => (FileType::Directory, 0, 0o755),
            Kind::File { len } => (FileType::RegularFile, len, 0o644),
        };
        Ok(FileAttr {
            ino: INodeNo(node),
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn entry(&self, node: Result<NodeId, Refusal>, reply: ReplyEntry) {
        match node.map_err(errno).and_then(|node| self.attributes(node)) {
            Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }
}

impl Filesystem for Served {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // A write of more than a page is several, and power may go between them.
        config
            .set_max_write(PAGE_BYTES)
            .map(|_| ())
            .map_err(|nearest| io::Error::other(format!("the kernel wants writes of {nearest} octets")))
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let node = self.volume().lookup(parent.0, name);
        self.entry(node, reply);
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(node.0) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        node: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = size.map_or(Ok(()), |len| self.volume().truncate(node.0, len));
        match changed.map_err(errno).and_then(|()| self.attributes(node.0)) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        let node = self.volume().make_directory(parent.0, name);
        self.entry(node, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.volume().remove(parent.0, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(self.volume().remove(parent.0, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if parent != new_parent {
            return reply.error(errno(Refusal::CrossDirectory));
        }
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        answer(self.volume().rename(parent.0, name, new_name), reply);
    }

    fn open(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.volume().kind(node.0) {
            // As a disk has it, pages that were read or written stay in memory when a file is closed.
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn read(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.volume().read(node.0, offset, size as usize) {
            Ok(bytes) => reply.data(bytes),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn write(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.volume().write(node.0, offset, bytes) {
            Ok(()) => reply.written(bytes.len() as u32),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // A close makes nothing durable.
        reply.ok();
    }

    fn fsync(&self, _: &Request, node: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer(self.volume().sync(node.0), reply);
    }

    fn readdir(&self, _: &Request, node: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let volume = self.volume();
        let names = match volume.list(node.0) {
            Ok(names) => names,
            Err(refusal) => return reply.error(errno(refusal)),
        };
        for (index, (name, node)) in names.into_iter().enumerate().skip(offset as usize) {
            let kind = match volume.kind(node) {
                Ok(Kind::Directory) => FileType::Directory,
                Ok(Kind::File { .. }) => FileType::RegularFile,
                Err(refusal) => return reply.error(errno(refusal)),
            };
            if reply.add(INodeNo(node), index as u64 + 1, kind, &name) {
                break;
            }
        }
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, node: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer(self.volume().sync_directory(node.0), reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, PAGE_BYTES, 255, PAGE_BYTES);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let node = self.volume().create(parent.0, name);
        match node.map_err(errno).and_then(|node| self.attributes(node)) {
            Ok(attributes) => {
                reply.created(&TTL, &attributes, Generation(0), FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
            }
            Err(error) => reply.error(error),
        }
    }
}

fn answer(result: Result<(), Refusal>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(refusal) => reply.error(errno(refusal)),
    }
}

const fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::CrossDirectory => Errno::EXDEV,
        Refusal::Exists => Errno::EEXIST,
        Refusal::Failed => Errno::EIO,
        Refusal::Full => Errno::ENOSPC,
        Refusal::IsDirectory => Errno::EISDIR,
        Refusal::NotDirectory => Errno::ENOTDIR,
        Refusal::NotEmpty => Errno::ENOTEMPTY,
        Refusal::NotFound => Errno::ENOENT,
    }
}

/// A test that failed with the lock in its hand has said so already.
fn locked(volume: &Mutex<Volume>) -> MutexGuard<'_, Volume> {
    volume.lock().unwrap_or_else(PoisonError::into_inner)
}

const DEVICE: &str = "/dev/fuse";
/// Names and lengths are asked for each time: after a cut nothing may look as if it were still there.
const TTL: Duration = Duration::ZERO;
const PAGE_BYTES: u32 = 4096;
